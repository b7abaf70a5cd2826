// A model that uses tools, in every provider's dialect: node model.mjs PORT COMMAND.  GET /log: what it was asked, a line each.
// Of its tools it calls a shell with COMMAND, or weather of two cities at once; what it has heard it says again behind "heard: ".
import { createServer } from 'node:http';
import { frames } from './frames.mjs';
import { cohere, ollama } from './made.mjs';

const [port, command] = process.argv.slice(2);
const shells = /^(bash|shell|shell_command|exec_command|run_shell_command)$/i;
const used = { input: 50, output: 7 };
const log = [];
let n = 0;

// A value for what a schema wants: the command where one belongs.
const fill = (schema, name) => {
    if (/^(command|cmd)$/.test(name)) return schema.type === 'array' ? ['sh', '-c', command] : command;
    if (schema.enum) return schema.enum[0];
    return { boolean: false, number: 1, integer: 1, array: [], object: {} }[schema.type] ?? 'x';
};
const args = ({ properties = {}, required = [] }) => Object.fromEntries(Object.keys(properties)
    .filter(name => required.includes(name)).map(name => [name, fill(properties[name], name)]));
const flat = v => typeof v === 'string' ? v : Array.isArray(v) ? v.map(flat).join('')
    : v && typeof v === 'object' ? flat(v.text ?? v.output ?? v.content ?? v.json ?? Object.values(v)) : '';

// What a request offers, and the results that it brings, whatever it is written in.
const tools = o => [o.tools ?? o.toolConfig?.tools ?? []].flat().flatMap(t => t.functionDeclarations ?? t.tools ?? [t])
    .map(t => t.function ?? t.toolSpec ?? t).map(t => ({ name: t.name ?? t.type,
        schema: t.inputSchema?.json ?? t.parameters ?? t.input_schema ?? t.parametersJsonSchema ?? {} }));
const results = o => [
    ...(o.messages ?? []).flatMap(m => m.role === 'tool' ? [m.content]
        : [m.content ?? []].flat().map(b => b.type === 'tool_result' ? b.content : b.toolResult?.content).filter(Boolean)),
    ...[o.input ?? []].flat().filter(i => /_call_output$/.test(i.type)).map(i => i.output),
    ...(o.contents ?? []).flatMap(c => c.parts).filter(p => p.functionResponse).map(p => p.functionResponse.response),
].map(flat);
const decide = o => {
    const offered = tools(o), shell = offered.find(t => shells.test(t.name)), heard = results(o);
    const said = { text: '', calls: [], finish: 'tools', error: false, ...used };
    if (heard.length || !offered.length) return { ...said, text: heard.length ? `heard: ${heard.join('; ')}` : 'A title', finish: 'stop' };
    said.calls = shell ? [{ name: shell.name, args: JSON.stringify(args(shell.schema)) }]
        : ['Paris', 'Bern'].map(city => ({ name: 'weather', args: JSON.stringify({ city }) }));
    return said;
};

const cut = text => text.match(/[^]{1,7}/g) ?? [];
const sse = (list, named) => ({ type: 'text/event-stream', body: list.map(e => `${named ? `event: ${e.type}\n` : ''}data: ${
    typeof e === 'string' ? e : JSON.stringify(e)}\n\n`).join('') });
const json = o => ({ type: 'application/json', body: JSON.stringify(o) });
const say = {
    openai: (o, said) => {
        const base = { id: `chatcmpl-${n}`, created: 1700000000, model: o.model };
        const usage = { prompt_tokens: 50, completion_tokens: 7, total_tokens: 57 };
        const calls = said.calls.map((c, i) => ({ id: `call_${n}_${i}`, type: 'function', function: { name: c.name, arguments: c.args } }));
        const finish_reason = calls.length ? 'tool_calls' : 'stop';
        if (!o.stream) return json({ ...base, object: 'chat.completion', usage, choices: [{ index: 0, finish_reason,
            message: { role: 'assistant', content: said.text || null, ...calls.length && { tool_calls: calls } } }] });
        const chunk = (delta, finish = null) => ({ ...base, object: 'chat.completion.chunk',
            choices: [{ index: 0, delta, finish_reason: finish }] });
        return sse([chunk({ role: 'assistant', content: '' }), ...cut(said.text).map(content => chunk({ content })),
            ...calls.flatMap((call, index) => [
                chunk({ tool_calls: [{ index, ...call, function: { name: call.function.name, arguments: '' } }] }),
                ...cut(call.function.arguments).map(part => chunk({ tool_calls: [{ index, function: { arguments: part } }] }))]),
            chunk({}, finish_reason),
            ...o.stream_options?.include_usage ? [{ ...base, object: 'chat.completion.chunk', choices: [], usage }] : [], '[DONE]']);
    },
    anthropic: (o, said) => {
        const content = [...said.text ? [{ type: 'text', text: said.text }] : [], ...said.calls.map((c, i) => ({
            type: 'tool_use', id: `toolu_${n}_${i}`, name: c.name, input: JSON.parse(c.args) }))];
        const end = { stop_reason: said.calls.length ? 'tool_use' : 'end_turn', stop_sequence: null };
        const message = { id: `msg_${n}`, type: 'message', role: 'assistant', model: o.model, content, ...end,
            usage: { input_tokens: 50, output_tokens: 7 } };
        if (!o.stream) return json(message);
        return sse([{ type: 'message_start', message: { ...message, content: [], stop_reason: null,
            usage: { input_tokens: 50, output_tokens: 1 } } },
        ...content.flatMap((block, index) => [
            { type: 'content_block_start', index, content_block: { ...block, ...block.input ? { input: {} } : { text: '' } } },
            ...cut(block.input ? JSON.stringify(block.input) : block.text).map(part => ({ type: 'content_block_delta', index,
                delta: block.input ? { type: 'input_json_delta', partial_json: part } : { type: 'text_delta', text: part } })),
            { type: 'content_block_stop', index }]),
        { type: 'message_delta', delta: end, usage: { output_tokens: 7 } }, { type: 'message_stop' }], true);
    },
    responses: (o, said) => {
        const output = [...said.text ? [{ type: 'message', id: `msg_${n}`, role: 'assistant', status: 'completed',
            content: [{ type: 'output_text', text: said.text, annotations: [] }] }] : [], ...said.calls.map((c, i) => ({
            type: 'function_call', id: `fc_${n}_${i}`, call_id: `call_${n}_${i}`, name: c.name, arguments: c.args, status: 'completed' }))];
        const response = { id: `resp_${n}`, object: 'response', created_at: 1700000000, status: 'completed', model: o.model,
            output, usage: { input_tokens: 50, output_tokens: 7, total_tokens: 57,
                input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } },
            parallel_tool_calls: true, tool_choice: 'auto', tools: [], metadata: {}, error: null, incomplete_details: null };
        if (!o.stream) return json(response);
        const begun = { ...response, status: 'in_progress', output: [], usage: null };
        return sse([{ type: 'response.created', response: begun }, { type: 'response.in_progress', response: begun },
            ...output.flatMap((item, output_index) => {
                const at = { output_index, item_id: item.id }, part = item.content?.[0], parts = cut(item.arguments ?? part.text);
                return [{ type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress',
                    ...part ? { content: [] } : { arguments: '' } } },
                ...part ? [{ type: 'response.content_part.added', ...at, content_index: 0, part: { ...part, text: '' } },
                    ...parts.map(delta => ({ type: 'response.output_text.delta', ...at, content_index: 0, delta, logprobs: [] })),
                    { type: 'response.output_text.done', ...at, content_index: 0, text: part.text, logprobs: [] },
                    { type: 'response.content_part.done', ...at, content_index: 0, part }]
                    : [...parts.map(delta => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
                        { type: 'response.function_call_arguments.done', ...at, name: item.name, arguments: item.arguments }],
                { type: 'response.output_item.done', output_index, item }];
            }), { type: 'response.completed', response }].map((e, sequence_number) => ({ ...e, sequence_number })), true);
    },
    gemini: (o, said, stream) => {
        const parts = [...said.text ? [{ text: said.text }] : [], ...said.calls.map(c => ({ functionCall: { name: c.name,
            args: JSON.parse(c.args) }, thoughtSignature: 'c2ln' }))];
        const whole = { candidates: [{ index: 0, finishReason: 'STOP', content: { role: 'model', parts } }], responseId: `r${n}`,
            usageMetadata: { promptTokenCount: 50, candidatesTokenCount: 7, totalTokenCount: 57 }, modelVersion: 'm' };
        return stream ? sse([whole]) : json(whole);
    },
    bedrock: (o, said, stream) => {
        const content = [...said.text ? [{ text: said.text }] : [], ...said.calls.map((c, i) => ({ toolUse: {
            toolUseId: `tooluse_${n}_${i}`, name: c.name, input: JSON.parse(c.args) } }))];
        const whole = { output: { message: { role: 'assistant', content } }, stopReason: said.calls.length ? 'tool_use' : 'end_turn',
            usage: { inputTokens: 50, outputTokens: 7, totalTokens: 57 }, metrics: { latencyMs: 1 } };
        return stream ? { type: 'application/vnd.amazon.eventstream', body: frames(whole) } : json(whole);
    },
    ollama: (o, said) => ollama(said, o.stream),
    cohere: (o, said) => cohere(said, o.stream),
};
const paths = { anthropic: /\/messages(\?|$)/, responses: /\/responses(\?|$)/, gemini: /generateContent/i, bedrock: /\/converse/,
    ollama: /\/api\/chat$/, cohere: /\/v2\/chat$/, openai: /\/chat\/completions(\?|$)/ };

createServer((req, res) => {
    if (req.url === '/log') return res.end(log.join('\n'));
    let body = '';
    req.on('data', d => body += d);
    req.on('end', () => {
        const dialect = Object.keys(paths).find(name => paths[name].test(req.url));
        const o = JSON.parse(body || '{}');
        n++;
        log.push(JSON.stringify({ path: req.url, dialect, model: o.model, tools: tools(o).map(t => t.name), results: results(o) }));
        if (!dialect) return res.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"no such path"}}');
        const said = say[dialect](o, decide(o), /stream/i.test(req.url));
        res.writeHead(200, { 'content-type': said.type });
        res.end(said.body);
    });
}).listen(Number(port), '127.0.0.1', () => console.log(`model on ${port}`));
