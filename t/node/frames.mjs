// The frames that a Converse answer of AWS Bedrock would have been as a stream.
const crc = bytes => {
    let c = ~0;
    for (const b of bytes) {
        c ^= b;
        for (let i = 0; i < 8; i++) c = c & 1 ? c >>> 1 ^ 0xEDB88320 : c >>> 1;
    }
    return ~c >>> 0;
};
const header = (name, value) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7, 0, value.length]),
    Buffer.from(value)]);
const frame = (type, data) => {
    const headers = Buffer.concat([header(':event-type', type), header(':content-type', 'application/json'),
        header(':message-type', 'event')]);
    const payload = Buffer.from(JSON.stringify({ ...data, p: 'abcdefgh' }));
    const out = Buffer.alloc(16 + headers.length + payload.length);
    out.writeUInt32BE(out.length, 0);
    out.writeUInt32BE(headers.length, 4);
    out.writeUInt32BE(crc(out.subarray(0, 8)), 8);
    headers.copy(out, 12);
    payload.copy(out, 12 + headers.length);
    out.writeUInt32BE(crc(out.subarray(0, -4)), out.length - 4);
    return out;
};
const halves = text => {
    const all = Array.from(text);
    return [all.slice(0, all.length >> 1).join(''), all.slice(all.length >> 1).join('')];
};

export const frames = answer => {
    const out = [frame('messageStart', { role: 'assistant' })];
    answer.output.message.content.forEach((block, contentBlockIndex) => {
        let deltas;
        if (block.toolUse) {
            const { toolUseId, name, input } = block.toolUse;
            out.push(frame('contentBlockStart', { contentBlockIndex, start: { toolUse: { toolUseId, name } } }));
            deltas = halves(JSON.stringify(input)).map(part => ({ toolUse: { input: part } }));
        } else if (block.reasoningContent?.reasoningText) {
            const { text, signature } = block.reasoningContent.reasoningText;
            deltas = halves(text).map(part => ({ reasoningContent: { text: part } }));
            if (signature) deltas.push({ reasoningContent: { signature } });
        } else deltas = block.text === undefined ? [block] : halves(block.text).map(text => ({ text }));
        for (const delta of deltas) out.push(frame('contentBlockDelta', { contentBlockIndex, delta }));
        out.push(frame('contentBlockStop', { contentBlockIndex }));
    });
    out.push(frame('messageStop', { stopReason: answer.stopReason }),
        frame('metadata', { usage: answer.usage, metrics: answer.metrics }));
    return Buffer.concat(out);
};
