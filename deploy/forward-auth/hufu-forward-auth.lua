-- Asks Hufu whether a request may go on: an action of haproxy.cfg beside this file, which deletes the client's
-- headers before and refuses a request for which txn.hufu_allowed is not set.
local url = os.getenv("HUFU_URL") .. "/v1/forward-auth"
local key = os.getenv("HUFU_KEY")

local identity = { "hufuaccount", "hufusession", "hufuplatform", "hufuexpires", "hufuassertion" }
local of_refusals = { "content-type", "content-language", "www-authenticate", "retry-after", "hufucode" }
-- The refusals that concern the client. Any other answer says nothing about the user.
local for_clients = { [400] = true, [401] = true, [429] = true, [503] = true }

local unavailable = '{"type":"urn:hufu:problem:unavailable","title":"Service temporarily unavailable","status":503,"code":"unavailable"}'

-- The values of a header of a client's request, in their order. HAProxy counts them from 0.
local function values_of(headers, name)
  local found = headers[name]
  if found == nil then return nil end
  local values = { found[0] }
  for _, value in ipairs(found) do values[#values + 1] = value end
  return values
end

local function refuse(txn, status, headers, body)
  local reply = txn:reply({ status = status, body = body })
  reply:add_header("cache-control", "no-store")
  for name, value in pairs(headers) do reply:add_header(name, value) end
  txn:done(reply)
end

core.register_action("hufu_forward_auth", { "http-req" }, function(txn)
  local headers = txn.http:req_get_headers()
  -- All values, also repeated ones: Hufu refuses a request with two credentials.
  local answer = core.httpclient():get({
    url = url,
    timeout = 5000,
    headers = {
      hufukey = { key },
      authorization = values_of(headers, "authorization"),
      token = values_of(headers, "token"),
    },
  })
  local status = answer and answer.status or 0
  if status == 200 then
    for _, name in ipairs(identity) do
      txn.http:req_set_header(name, answer.headers[name] and answer.headers[name][0] or "")
    end
    txn:set_var("txn.hufu_allowed", true)
  elseif for_clients[status] and answer.headers["hufucode"] then
    local kept = {}
    for _, name in ipairs(of_refusals) do
      if answer.headers[name] then kept[name] = answer.headers[name][0] end
    end
    refuse(txn, status, kept, answer.body)
  else
    refuse(txn, 503, { ["content-type"] = "application/problem+json", ["retry-after"] = "1" }, unavailable)
  end
end, 0)
