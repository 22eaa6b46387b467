-- For wrk: posts many bodies in turn, again and again. Its arguments are a file with the names of the bodies'
-- files, one a line, and the names and values of the headers. Prints what post.lua prints.
local folder = debug.getinfo(1, "S").source:match("^@(.*)/")
dofile(folder .. "/post.lua")
local init_with_one = init
local requests, turn = {}, 0

function init(args)
  local names = {}
  for name in io.lines(args[1]) do
    names[#names + 1] = name
  end
  args[1] = names[1]
  init_with_one(args)
  for number, name in ipairs(names) do
    local file = assert(io.open(name, "rb"))
    requests[number] = wrk.format(nil, nil, nil, file:read("*a"))
    file:close()
  end
  began_s = seconds_now()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
