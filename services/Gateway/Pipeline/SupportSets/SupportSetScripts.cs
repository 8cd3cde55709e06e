using StackExchange.Redis;

namespace Flamingo.Gateway.SupportSets;

/// <summary>
/// The scripts of <see cref="RedisSupportSetStore"/> and <see cref="RedisSupportSetTotal"/>. Each is one atomic step, and all of its keys
/// are in one slot of a cluster. The index of a tenant is a hash with one entry for each set: size in bytes, end of life in milliseconds
/// since 1970 (0: none), and the sealed summary, separated by blanks.
/// </summary>
internal static class SupportSetScripts
{
    /// <summary>
    /// Runs a script that returns texts. EVAL is used instead of EVALSHA, because a restarted server does not know the script.
    /// </summary>
    public static async Task<string[]> RunAsync(IDatabase database, string script, RedisKey[] keys, RedisValue[] arguments) =>
        [.. ((RedisValue[]?)await database.ScriptEvaluateAsync(script, keys, arguments, CommandFlags.NoScriptCache) ?? [])
            .Select(value => value.ToString())];

    // The type of a key as text. A key of another type than the expected one was damaged or put there by somebody else.
    private const string Types = """
        local function typeOf(key) local t = redis.call('TYPE', key) if type(t) == 'table' then return t.ok end return t end
        local function expect(key, kind) local t = typeOf(key) if t ~= 'none' and t ~= kind then redis.call('DEL', key) end end
        local function stateOf(key)
          local t = typeOf(key)
          if t == 'none' then return '' end
          if t ~= 'hash' then return '?' end
          local revision = redis.call('HGET', key, 'revision')
          if not revision or revision == '' then return '?' end
          return revision
        end

        """;

    // Adds up an index, without the set of the given name, and removes what has expired.
    private const string Sum = """
        local function sum(index, now, without)
          local count, bytes, first = 0, 0, 0
          local entries = redis.call('HGETALL', index)
          for i = 1, #entries, 2 do
            local size, ends = string.match(entries[i + 1], '^(%d+) (%d+) ')
            size, ends = tonumber(size or 0), tonumber(ends or 0)
            if ends > 0 and ends <= now then
              redis.call('HDEL', index, entries[i])
            elseif entries[i] ~= without then
              count = count + 1
              bytes = bytes + size
              if ends > 0 and (first == 0 or ends < first) then first = ends end
            end
          end
          return count, bytes, first
        end

        """;

    /// <summary>
    /// Writes a picture of a set that is not published yet. KEYS: pictures. ARGV: id, file, time to live in milliseconds.
    /// </summary>
    public const string WritePicture = """
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
        return {'done'}
        """;

    /// <summary>
    /// Publishes a set whose pictures have been written. KEYS: set, index, names of older gateways, new pictures, old pictures. ARGV:
    /// expected state of the set (its revision; empty: absent; ?: damaged), name, now, number of pictures, most sets, most bytes, bytes,
    /// bytes before, end of life, time to live, version, revision, summary, examples. Returns what happened and two numbers.
    /// </summary>
    public const string Publish = Types + Sum + """
        if stateOf(KEYS[1]) ~= ARGV[1] then return {'changed', '0', '0'} end
        if redis.call('HLEN', KEYS[4]) ~= tonumber(ARGV[4]) then return {'lost', '0', '0'} end
        expect(KEYS[2], 'hash')
        expect(KEYS[3], 'set')
        local name, now, ends, bytes = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[9]), tonumber(ARGV[7])
        local count, others, first = sum(KEYS[2], now, name)
        for _, old in ipairs(redis.call('SMEMBERS', KEYS[3])) do
          if old ~= name and redis.call('HEXISTS', KEYS[2], old) == 0 then count = count + 1 end
        end
        if ARGV[1] == '' and count >= tonumber(ARGV[5]) then return {'sets', '0', '0'} end
        if others + bytes > tonumber(ARGV[6]) and bytes > tonumber(ARGV[8]) then
          return {'bytes', string.format('%.0f', others + bytes), '0'}
        end
        if ARGV[1] == '?' then redis.call('DEL', KEYS[1]) end
        redis.call('HSET', KEYS[1], 'version', ARGV[11], 'revision', ARGV[12], 'summary', ARGV[13], 'examples', ARGV[14])
        redis.call('HDEL', KEYS[1], 'head', 'shots')
        redis.call('HSET', KEYS[2], name, ARGV[7] .. ' ' .. ARGV[9] .. ' ' .. ARGV[13])
        redis.call('SREM', KEYS[3], name)
        if KEYS[5] ~= KEYS[4] then redis.call('DEL', KEYS[5]) end
        if ends > 0 then
          redis.call('PEXPIRE', KEYS[1], ARGV[10])
          redis.call('PEXPIRE', KEYS[4], ARGV[10])
          if first == 0 or ends < first then first = ends end
        else
          redis.call('PERSIST', KEYS[1])
          redis.call('PERSIST', KEYS[4])
        end
        return {'done', string.format('%.0f', others + bytes), string.format('%.0f', first)}
        """;

    /// <summary>
    /// Deletes a set. KEYS: set, index, names of older gateways, pictures. ARGV: expected state of the set, name, now. Returns what
    /// happened and two numbers.
    /// </summary>
    public const string Delete = Types + Sum + """
        if stateOf(KEYS[1]) ~= ARGV[1] then return {'changed', '0', '0'} end
        expect(KEYS[2], 'hash')
        expect(KEYS[3], 'set')
        redis.call('DEL', KEYS[1], KEYS[4])
        redis.call('HDEL', KEYS[2], ARGV[2])
        redis.call('SREM', KEYS[3], ARGV[2])
        local _, bytes, first = sum(KEYS[2], tonumber(ARGV[3]), '')
        return {'done', string.format('%.0f', bytes), string.format('%.0f', first)}
        """;

    /// <summary>Adds up the sets of a tenant. KEYS: index. ARGV: now. Returns what happened and two numbers.</summary>
    public const string Count = Types + Sum + """
        expect(KEYS[1], 'hash')
        local _, bytes, first = sum(KEYS[1], tonumber(ARGV[1]), '')
        return {'done', string.format('%.0f', bytes), string.format('%.0f', first)}
        """;

    /// <summary>
    /// Reserves bytes of the total. KEYS: bytes of each tenant and of all, times of recounts. ARGV: tenant, bytes, bytes that they replace,
    /// most bytes of all, most bytes of a tenant while its sets are being replaced, time of the recount. Returns what happened.
    /// </summary>
    public const string Reserve = Types + """
        expect(KEYS[1], 'hash')
        expect(KEYS[2], 'zset')
        local total = tonumber(redis.call('HGET', KEYS[1], 'total') or 0) or 0
        local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) or 0
        local bytes = tonumber(ARGV[2])
        if total - tonumber(ARGV[3]) + bytes > tonumber(ARGV[4]) then return {'total'} end
        if held + bytes > tonumber(ARGV[5]) then return {'tenant'} end
        redis.call('HSET', KEYS[1], 'total', string.format('%.0f', total + bytes), ARGV[1], string.format('%.0f', held + bytes))
        local due = redis.call('ZSCORE', KEYS[2], ARGV[1])
        if not due or tonumber(due) > tonumber(ARGV[6]) then redis.call('ZADD', KEYS[2], ARGV[6], ARGV[1]) end
        return {'done'}
        """;

    /// <summary>
    /// Sets what a tenant holds. KEYS: as for <see cref="Reserve"/>. ARGV: tenant, bytes, time of the next recount, now. Returns up to 16
    /// tenants whose recount is due.
    /// </summary>
    public const string Settle = Types + """
        expect(KEYS[1], 'hash')
        expect(KEYS[2], 'zset')
        local total = tonumber(redis.call('HGET', KEYS[1], 'total') or 0) or 0
        local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) or 0
        local bytes = tonumber(ARGV[2])
        total = total + bytes - held
        if total < 0 then total = 0 end
        if bytes > 0 then
          redis.call('HSET', KEYS[1], 'total', string.format('%.0f', total), ARGV[1], ARGV[2])
          redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
        else
          redis.call('HDEL', KEYS[1], ARGV[1])
          redis.call('ZREM', KEYS[2], ARGV[1])
          if total > 0 then redis.call('HSET', KEYS[1], 'total', string.format('%.0f', total)) else redis.call('HDEL', KEYS[1], 'total') end
        end
        return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', '0', '16')
        """;
}
