-- For wrk: one request again and again. `load.lua -- METHOD FILE TYPE THINK_MS`: FILE is the body, `-` for none;
-- THINK_MS is how long, on average, a connection waits before each request. Prints one line of JSON.
local think_ms

function init(args)
  wrk.method = args[1]
  if args[2] ~= "-" then
    local file = assert(io.open(args[2], "rb"))
    wrk.body = file:read("*a")
    file:close()
    wrk.headers["Content-Type"] = args[3]
  end
  think_ms = tonumber(args[4])
  math.randomseed(os.time())
  if think_ms > 0 then
    delay = function() return math.random(0, 2 * think_ms) end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answered": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status
  ))
end
