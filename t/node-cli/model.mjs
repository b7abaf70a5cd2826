// A model for coding agents: node model.mjs PORT COMMAND serves it in four dialects, as streams and as objects.
// Asked with a shell among the tools it calls that with COMMAND; when it has heard the result it says it again, behind "heard:".
// GET /log: what it was asked, a line each.
import { createServer } from 'node:http';

const [port, command] = process.argv.slice(2);
const shells = /^(bash|shell|shell_command|exec_command|run_shell_command|run_commands|execute_command|local_shell)$/i;
const log = [];
let n = 0;

// A value for what the schema wants: the command where one belongs.
const fill = (schema, name) => {
    const type = [schema?.type].flat()[0] ?? 'string';
    if (schema?.enum) return schema.enum[0];
    if (type === 'boolean') return false;
    if (type === 'number' || type === 'integer') return 1;
    if (type === 'array') return /^(command|commands|cmd)$/.test(name) && schema.items?.type === 'string'
        ? name === 'commands' ? [command] : ['sh', '-c', command] : [];
    if (type === 'object') return args(schema);
    return /^(command|cmd)$/.test(name) ? command : name === 'description' ? 'Reads a file' : 'x';
};
const args = schema => Object.fromEntries(Object.keys(schema?.properties ?? {})
    .filter(name => (schema.required ?? []).includes(name) || /^(command|cmd)$/.test(name))
    .map(name => [name, fill(schema.properties[name], name)]));
const flat = v => typeof v === 'string' ? v : Array.isArray(v) ? v.map(flat).join('\n')
    : v && typeof v === 'object' ? flat(v.text ?? v.output ?? v.content ?? Object.values(v)) : '';

// What a request offers, and the results that it brings, whatever it is written in.
const tools = o => (o.tools ?? []).flatMap(t => t.functionDeclarations ?? t.tools ?? [t])
    .map(t => t.function ?? t).map(t => ({ name: t.name ?? t.type,
        schema: t.parameters ?? t.input_schema ?? t.parametersJsonSchema ?? {} }));
const results = o => [
    ...(o.messages ?? []).flatMap(m => m.role === 'tool' ? [m.content]
        : Array.isArray(m.content) ? m.content.filter(b => b.type === 'tool_result').map(b => b.content) : []),
    ...(Array.isArray(o.input) ? o.input : []).filter(i => /_call_output$/.test(i.type)).map(i => i.output),
    ...(o.contents ?? []).flatMap(c => c.parts).filter(p => p.functionResponse).map(p => p.functionResponse.response),
].map(flat);
const decide = o => {
    const heard = results(o);
    const shell = tools(o).find(t => shells.test(t.name));
    if (heard.length) return { text: `heard: ${heard.at(-1)}` };
    return shell ? { name: shell.name, args: JSON.stringify(args(shell.schema)) } : { text: 'A title' };
};

const say = {
    openai: (o, d) => {
        const base = { id: `chatcmpl-${n}`, created: 1700000000, model: o.model };
        const usage = { prompt_tokens: 50, completion_tokens: 7, total_tokens: 57 };
        const call = d.name && { id: `call_${n}`, type: 'function', function: { name: d.name, arguments: d.args } };
        const finish_reason = call ? 'tool_calls' : 'stop';
        if (!o.stream) return { ...base, object: 'chat.completion', usage, choices: [{ index: 0, finish_reason,
            message: { role: 'assistant', content: d.text ?? null, ...call && { tool_calls: [call] } } }] };
        const chunk = (delta, finish = null) => ({ ...base, object: 'chat.completion.chunk',
            choices: [{ index: 0, delta, finish_reason: finish }] });
        return [chunk({ role: 'assistant', content: '' }), ...call
            ? [chunk({ tool_calls: [{ index: 0, ...call, function: { name: d.name, arguments: '' } }] }),
                ...d.args.match(/[^]{1,7}/g).map(part => chunk({ tool_calls: [{ index: 0, function: { arguments: part } }] }))]
            : d.text.match(/[^]{1,7}/g).map(content => chunk({ content })), chunk({}, finish_reason),
            ...o.stream_options?.include_usage ? [{ ...base, object: 'chat.completion.chunk', choices: [], usage }] : [], '[DONE]'];
    },
    anthropic: (o, d) => {
        const block = d.name ? { type: 'tool_use', id: `toolu_${n}`, name: d.name, input: JSON.parse(d.args) }
            : { type: 'text', text: d.text };
        const message = { id: `msg_${n}`, type: 'message', role: 'assistant', model: o.model, content: [block],
            stop_reason: d.name ? 'tool_use' : 'end_turn', stop_sequence: null, usage: { input_tokens: 50, output_tokens: 7 } };
        if (!o.stream) return message;
        return [{ type: 'message_start', message: { ...message, content: [], stop_reason: null,
            usage: { input_tokens: 50, output_tokens: 1 } } },
        { type: 'content_block_start', index: 0, content_block: { ...block, ...d.name ? { input: {} } : { text: '' } } },
        ...(d.args ?? d.text).match(/[^]{1,7}/g).map(part => ({ type: 'content_block_delta', index: 0,
            delta: d.name ? { type: 'input_json_delta', partial_json: part } : { type: 'text_delta', text: part } })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: message.stop_reason, stop_sequence: null }, usage: { output_tokens: 7 } },
        { type: 'message_stop' }];
    },
    responses: (o, d) => {
        const item = d.name ? { type: 'function_call', id: `fc_${n}`, call_id: `call_${n}`, name: d.name, arguments: d.args,
            status: 'completed' } : { type: 'message', id: `msg_${n}`, role: 'assistant', status: 'completed',
            content: [{ type: 'output_text', text: d.text, annotations: [] }] };
        const response = { id: `resp_${n}`, object: 'response', created_at: 1700000000, status: 'completed', model: o.model,
            output: [item], usage: { input_tokens: 50, output_tokens: 7, total_tokens: 57,
                input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } },
            parallel_tool_calls: true, tool_choice: 'auto', tools: [], metadata: {}, error: null, incomplete_details: null };
        if (!o.stream) return response;
        const begun = { ...response, status: 'in_progress', output: [], usage: null };
        const at = { output_index: 0, item_id: item.id }, parts = (d.args ?? d.text).match(/[^]{1,7}/g);
        return [{ type: 'response.created', response: begun }, { type: 'response.in_progress', response: begun },
            { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress',
                ...d.name ? { arguments: '' } : { content: [] } } },
            ...d.name ? [...parts.map(delta => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
                { type: 'response.function_call_arguments.done', ...at, name: d.name, arguments: d.args }]
                : [{ type: 'response.content_part.added', ...at, content_index: 0, part: { ...item.content[0], text: '' } },
                    ...parts.map(delta => ({ type: 'response.output_text.delta', ...at, content_index: 0, delta, logprobs: [] })),
                    { type: 'response.output_text.done', ...at, content_index: 0, text: d.text, logprobs: [] },
                    { type: 'response.content_part.done', ...at, content_index: 0, part: item.content[0] }],
            { type: 'response.output_item.done', output_index: 0, item },
            { type: 'response.completed', response }].map((e, sequence_number) => ({ ...e, sequence_number }));
    },
    gemini: (o, d, stream) => {
        const whole = { candidates: [{ index: 0, finishReason: 'STOP', content: { role: 'model', parts: [d.name
            ? { functionCall: { name: d.name, args: JSON.parse(d.args) }, thoughtSignature: 'c2ln' } : { text: d.text }] } }],
        usageMetadata: { promptTokenCount: 50, candidatesTokenCount: 7, totalTokenCount: 57 }, modelVersion: 'm', responseId: `r${n}` };
        return stream ? [whole] : whole;
    },
};

createServer((req, res) => {
    if (req.url === '/log') return res.end(log.join('\n'));
    let body = '';
    req.on('data', d => body += d);
    req.on('end', () => {
        const dialect = /\/messages(\?|$)/.test(req.url) ? 'anthropic' : /\/responses$/.test(req.url) ? 'responses'
            : /generateContent/i.test(req.url) ? 'gemini' : /\/chat\/completions$/.test(req.url) ? 'openai' : '';
        const o = JSON.parse(body || '{}');
        n++;
        log.push(JSON.stringify({ path: req.url, dialect, model: o.model, tools: tools(o).map(t => t.name), results: results(o).length }));
        if (!dialect) return res.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"no such path"}}');
        const said = say[dialect](o, decide(o), /streamGenerateContent/.test(req.url));
        res.writeHead(200, { 'content-type': Array.isArray(said) ? 'text/event-stream' : 'application/json' });
        if (!Array.isArray(said)) return res.end(JSON.stringify(said));
        for (const e of said) res.write(`${dialect === 'anthropic' || dialect === 'responses' ? `event: ${e.type}\n` : ''}data: ${
            typeof e === 'string' ? e : JSON.stringify(e)}\n\n`);
        res.end();
    });
}).listen(Number(port), '127.0.0.1', () => console.log(`model on ${port}`));
