"""Published folders on the Hugging Face Hub: reads `hf://owner/name@v1`, and uploads."""

import functools
import os
import re
from pathlib import Path

from sagan_tf.extras import extra
from sagan_tf.pretrained.folder import WEIGHTS
from sagan_tf.run.workdir import CONFIG, SCORES

PREFIX = "hf://"
_NAME = r"[\w.-]+/[\w.-]+"
_LOG_IN = "set `HF_TOKEN` or call `hf auth login`"


def located(workdir: str | os.PathLike) -> Path:
    """The directory of a workdir, which is downloaded if it is an address on the Hub.

    Args:
        workdir: a directory, or `hf://owner/name`, with `@revision` for a branch, tag or commit.

    Raises:
        ValueError: for a malformed address; a repository that does not exist, is private or was not
            written by `sagan_tf`; or if the Hub cannot be reached and has not been before.
    """
    name = os.fspath(workdir)
    return Path(_download(name) if name.startswith(PREFIX) else name)


# One download per process, so that description and weights are of one commit.
@functools.cache
def _download(address: str) -> str:
    match = re.fullmatch(rf"{PREFIX}({_NAME})(?:@([\w./-]+))?", address)
    if match is None:
        raise ValueError(
            "`workdir` on the Hugging Face Hub has the form hf://owner/name or "
            f"hf://owner/name@revision. Received: {address!r}"
        )
    with extra("hub"):
        from huggingface_hub import errors, get_token, snapshot_download
    repo, revision = match.groups()
    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=[CONFIG, WEIGHTS, SCORES]
        )
    except errors.GatedRepoError:
        raise ValueError(
            f"`workdir` {address} is for those who accept its conditions: do so on the page of "
            f"{repo}, then {_LOG_IN}."
        ) from None
    except errors.RepositoryNotFoundError:
        who = "your token may read" if get_token() else "is public"
        raise ValueError(
            f"`workdir` {address}: the Hugging Face Hub has no repository {repo} that {who}. "
            f"Correct the name; if it is private, {_LOG_IN} with a token that may read it."
        ) from None
    except errors.RevisionNotFoundError:
        raise ValueError(
            f"`workdir` {address}: {repo} has no branch, tag or commit {revision!r}."
        ) from None
    except (errors.LocalEntryNotFoundError, errors.HTTPError) as error:
        raise ValueError(
            f"`workdir` {address} is not on this machine yet, and the Hugging Face Hub cannot be "
            f"reached: {_reason(error)}. Connect to the network (without `HF_HUB_OFFLINE`), or "
            "name a folder."
        ) from None
    missing = [name for name in (CONFIG, WEIGHTS) if not (Path(folder) / name).is_file()]
    if missing:
        raise ValueError(
            f"`workdir` {address} was not written by `python -m sagan_tf.publish`: it lacks "
            f"{' and '.join(missing)}."
        )
    return folder


def check_target(repo: str) -> None:
    """Checks, before any work, that a repository can be named so and that there is a token.

    Raises:
        ValueError: if not.
    """
    with extra("hub"):
        from huggingface_hub import get_token
    if not re.fullmatch(_NAME, repo):
        raise ValueError(f"`--repo` must have the form owner/name. Received: {repo!r}")
    if get_token() is None:
        raise ValueError(
            f"`--repo` {repo} needs a token of the Hugging Face Hub that may write: {_LOG_IN}."
        )


def push(folder: Path, repo: str, private: bool = False) -> str:
    """Uploads a folder as one commit, and creates the repository if there is none.

    Args:
        folder: a published folder.
        repo: `owner/name`.
        private: whether a new repository is private; one that exists must be so already.

    Returns:
        The commit's address.

    Raises:
        ValueError: if the Hub refuses the token or cannot be reached, or the repository is public
            and should be private; the folder stays.
    """
    with extra("hub"):
        from huggingface_hub import HfApi, errors
    api = HfApi(library_name="sagan_tf")
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.repo_info(repo).private:
            raise ValueError(
                f"`--repo` {repo} exists and is public. Leave `--private` out, or name another. "
                f"{folder} is whole."
            )
        return api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Published by sagan_tf"
        ).commit_url
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:
        raise ValueError(
            f"`--repo` {repo} was not written: {_reason(error)}. {folder} is whole; when the cause "
            f"is gone, `hf upload {repo} {folder}` pushes it."
        ) from None


def _reason(error: Exception) -> str:
    """An error of the Hub, or of the way there, in one line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the Hub does not know the token"
    if status == 403:
        return "the token may not write there"
    cause = error.__cause__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
