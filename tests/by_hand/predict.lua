-- Requests of one image each, of all ten classes in turn and every seed, for wrk:
-- wrk -t1 -c8 -d3s --latency -s tests/by_hand/predict.lua http://127.0.0.1:8501/v1/models/sagan:predict
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local number = 0
request = function()
  number = number + 1
  local row = '{"class_id": ' .. number % 10 .. ', "seed": ' .. number .. ', "truncation": 1.0}'
  return wrk.format(nil, nil, nil, '{"instances": [' .. row .. ']}')
end
