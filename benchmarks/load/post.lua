-- For wrk: posts one body again and again. Its arguments are the file of the body, and the names and values of
-- the headers. Prints one line of JSON with the moments of the answers, which wrk does not tell, and counts
-- what is not 200.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment;
int clock_gettime(int clock, moment *now);
]]

local MONOTONIC = 1
local now = ffi.new("moment")
local all = {}

function seconds_now()
  ffi.C.clock_gettime(MONOTONIC, now)
  return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

function setup(thread)
  table.insert(all, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  for name = 2, #args, 2 do
    wrk.headers[args[name]] = args[name + 1]
  end
  file:close()
  began_s, answered_s, refused = seconds_now(), {}, 0
end

function response(status)
  answered_s[#answered_s + 1] = string.format("%.6f", seconds_now())
  if status ~= 200 then
    refused = refused + 1
  end
end

function done(summary, latency)
  local thread = all[1]
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"began_s": %.6f, "p50_us": %d, "p99_us": %d, "failed": %d, "answered_s": [%s]}\n',
    thread:get("began_s"), latency:percentile(50), latency:percentile(99), thread:get("refused") + lost,
    table.concat(thread:get("answered_s"), ", ")
  ))
end
