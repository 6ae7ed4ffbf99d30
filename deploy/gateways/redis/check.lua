-- May this request pass? KEYS: the decision keys of its subjects, such as stillwatch:decision:tenant:acme and
-- stillwatch:decision:account:acme/a1. Answers {status, seconds to wait, reason, decision id}.
local said, freed = nil, false
local severity = {allow = 0, throttle = 1, challenge = 2, block = 3}
local found = {}
for i, text in ipairs(redis.call('MGET', unpack(KEYS))) do
  if text then found[#found + 1] = cjson.decode(text); found[#found].key = KEYS[i] end
end
for _, one in ipairs(found) do freed = freed or (one.by_operator and one.action == 'allow') end
for _, one in ipairs(found) do
  if (one.by_operator or not freed) and (not said or severity[one.action] > severity[said.action]) then said = one end
end
if not said or said.action == 'allow' then return {200, 0, 'no_decision', ''} end
local now = redis.call('TIME')
if said.action ~= 'throttle' then
  return {429, math.max(1, math.ceil(said.expires_ms / 1000 - now[1])), said.reason, said.decision_id}
end
-- A throttle: requests of this calendar minute; a token limit is not enforced here.
if said.requests_per_minute then
  local used = 'stillwatch:used:' .. said.key .. ':' .. math.floor(now[1] / 60)
  local count = redis.call('INCR', used)
  redis.call('EXPIRE', used, 60)
  if count > said.requests_per_minute then return {429, 60 - now[1] % 60, said.reason, said.decision_id} end
end
return {200, 0, said.reason, said.decision_id}
