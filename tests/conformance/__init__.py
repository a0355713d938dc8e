"""Every layer and network through the same checks: configs, saving, backends, precision."""
