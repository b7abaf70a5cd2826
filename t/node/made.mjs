// What another dialect would have said of one choice ({ text, calls, finish, input, output }), as an object or as a stream:
// { type, body }, or nothing where it cannot say that.
const cut = text => text.match(/[^]{1,9}/gu) ?? [];
const objects = calls => calls.map(c => { try { return JSON.parse(c.args); } catch { return null; } });
const sayable = (said, args) => !said.error && said.input !== undefined && said.output !== undefined
    && args.every(a => a && typeof a === 'object' && !Array.isArray(a));

export const ollama = (said, stream) => {
    const args = objects(said.calls);
    if (!sayable(said, args) || said.finish === 'filter') return;
    const base = { model: 'llama3.2', created_at: '2025-07-07T20:22:19.184789Z' };
    const calls = said.calls.map((c, i) => ({ function: { name: c.name, arguments: args[i] } }));
    const end = { done: true, done_reason: said.finish === 'length' ? 'length' : 'stop', total_duration: 9,
        prompt_eval_count: said.input, eval_count: said.output };
    if (!stream) return { type: 'application/json; charset=utf-8', body: JSON.stringify({ ...base, message: { role: 'assistant',
        content: said.text, ...calls.length && { tool_calls: calls } }, ...end }) };
    const line = message => ({ ...base, message: { role: 'assistant', content: '', ...message }, done: false });
    return { type: 'application/x-ndjson', body: [...cut(said.text).map(content => line({ content })),
        ...calls.map(call => line({ tool_calls: [call] })), { ...base, message: { role: 'assistant', content: '' }, ...end }]
        .map(o => `${JSON.stringify(o)}\n`).join('') };
};

export const cohere = (said, stream) => {
    if (!sayable(said, objects(said.calls))) return;
    const calls = said.calls.map((c, i) => ({ id: `${c.name}_${i}`, type: 'function', function: { name: c.name, arguments: c.args } }));
    const finish_reason = { stop: 'COMPLETE', tools: 'TOOL_CALL', length: 'MAX_TOKENS', filter: 'ERROR_TOXIC' }[said.finish];
    const usage = { billed_units: { input_tokens: said.input, output_tokens: said.output },
        tokens: { input_tokens: said.input + 900, output_tokens: said.output + 70 } };
    if (!finish_reason) return;
    // Beside calls its text is a plan.
    if (!stream) return { type: 'application/json', body: JSON.stringify({ id: 'c', finish_reason, usage, message: {
        role: 'assistant', ...calls.length ? { tool_plan: said.text, tool_calls: calls } : {
            content: [{ type: 'text', text: said.text }] } } }) };
    const event = (type, index, message) => ({ type, index, delta: { message } });
    const list = [{ type: 'message-start', id: 'c', delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [],
        citations: [] } } }];
    if (calls.length) list.push(...cut(said.text).map(tool_plan => event('tool-plan-delta', 0, { tool_plan })));
    else list.push(event('content-start', 0, { content: { type: 'text', text: '' } }),
        ...cut(said.text).map(text => event('content-delta', 0, { content: { text } })), { type: 'content-end', index: 0 });
    calls.forEach((call, i) => list.push(
        event('tool-call-start', i, { tool_calls: { ...call, function: { name: call.function.name, arguments: '' } } }),
        ...cut(call.function.arguments).map(part => event('tool-call-delta', i, { tool_calls: { function: { arguments: part } } })),
        { type: 'tool-call-end', index: i }));
    list.push({ type: 'message-end', id: 'c', delta: { finish_reason, usage } });
    return { type: 'text/event-stream', body: list.map(o => `event: ${o.type}\ndata: ${JSON.stringify(o)}\n\n`).join('') };
};
