// A server that answers as `parvin serve` does, from made-up numbers or a recorded trace, so that the page can be driven
// without a model:  node tests/web/mock.mjs PAGE.html [PORT] [key=value...]   keys: layers, clusters, chat, pace, trace, fail
import http from 'node:http';
import fs from 'node:fs';

const vocabulary = ' the fox said that king , and . once upon a time there was in of his daughter who went to house with "'.split(' ').map((w, i) => i ? (/^[,.]$/.test(w) ? w : ' ' + w) : '\n');
const mix = (...n) => {
    let x = n.reduce((h, v) => Math.imul(h ^ v + 0x7f4a, 0x9e3779b1), 0x1234567);
    x = Math.imul(x ^ x >>> 15, 0x2c1b3c6d);
    return ((x ^ x >>> 13) >>> 0) / 4294967296;
};

// options: {page, layers, clusters (0: none), chat, pace (ms a token), trace (file), fail (status of every answer), key}
export function serve(options) {
    const o = {layers: 12, clusters: 64, chat: true, pace: 5, ...options}, seen = [];
    const trace = o.trace ? fs.readFileSync(o.trace, 'utf8').trimEnd().split('\n').map(l => JSON.parse(l)) : null;
    if (trace)
        Object.assign(o, {layers: trace[0].n_layers, clusters: trace[0].n_clusters});
    const n_ff = trace?.[0].d_ffn ?? 2048;
    const model = {name: trace?.[0].model ?? 'mock-7b-q4.gguf', n_layers: o.layers, n_ff, n_vocab: 1000, ctx: o.ctx ?? 4096, device: 'a mock device', chat: o.chat,
        modes: ['dense', 'masked'], clusters: o.clusters ? {fingerprint: '00c0ffee00c0ffee', n_layers: o.layers, k: o.clusters, density: .2,
            words: o.words === false ? [] : Array.from({length: o.layers}, (x, l) => Array.from({length: o.clusters}, (y, c) => [0, 1, 2].map(i => vocabulary[Math.floor(mix(l, c, i) * vocabulary.length)])))} : null};
    function token(mode, i) {
        if (trace) {
            const t = trace[1 + i % (trace.length - 1)];
            return {token: t.token, text: t.text, pos: 5 + i, ms: t.ms, layers: t.cluster.map((c, l) => [mode === 'dense' ? -1 : c ?? -1, mode === 'dense' ? n_ff : t.n_neurons[l], t.n_active?.[l] ?? -1, t.margin?.[l] ?? null])};
        }
        const id = Math.floor(mix(i, i > 14 && mode === 'dense' ? 1 : 0) * vocabulary.length); // the modes part after 15 tokens
        const layers = Array.from({length: o.layers}, (x, l) => {
            const c = Math.floor(mix(id, l, i % 3) * o.clusters), n = Math.round(n_ff * (.1 + .2 * mix(c, l)));
            return mode === 'dense' || !o.clusters ? [-1, n_ff, Math.round(.1 * n_ff), null] : [c, n, n >> 1, +(3 * mix(i, l, 9)).toFixed(3)];
        });
        return {token: id, text: vocabulary[id], pos: 5 + i, ms: mode === 'dense' ? 20 : 9, layers};
    }
    async function answer(request, response, chat) {
        let body = '';
        for await (const part of request)
            body += part;
        const ask = JSON.parse(body), send = chunk => response.write('data: ' + JSON.stringify(chunk) + '\n\n');
        seen.push({path: request.url, ...ask});
        const refuse = (status, message, code) => {
            response.writeHead(status, {'Content-Type': 'application/json'});
            response.end(JSON.stringify({error: {message, type: 'invalid_request_error', code, param: null}}));
        };
        if (o.fail)
            return refuse(o.fail, 'all slots are busy; try again in a moment', 'busy');
        if (chat && !o.template && o.template !== undefined)
            return refuse(400, 'the model has no chat template; use /v1/completions', 'no_chat_template');
        response.writeHead(200, {'Content-Type': 'text/event-stream'});
        const n = Math.min(ask.max_tokens ?? 100, 5000), mode = ask.parvin.mode;
        let density = 0, gone = false;
        request.socket.on('close', () => { gone = true; });
        for (let i = 0; i < n && !gone; i++) {
            const t = token(mode, i), finish_reason = i === n - 1 ? 'length' : null;
            density += t.layers.reduce((s, l) => s + l[1], 0) / (n_ff * t.layers.length) / n;
            send({choices: [chat ? {index: 0, delta: {content: t.text}, finish_reason} : {index: 0, text: t.text, finish_reason}], parvin: t});
            if (o.pace)
                await new Promise(done => setTimeout(done, o.pace));
        }
        send({choices: [], parvin: {summary: {tok_s: mode === 'dense' ? 50 : 111, density, n_tokens: n}}});
        response.end('data: [DONE]\n\n');
    }
    const server = http.createServer((request, response) => {
        const path = new URL(request.url, 'http://x').pathname;
        if (o.key && path !== '/' && request.headers.authorization !== 'Bearer ' + o.key) {
            response.writeHead(401, {'Content-Type': 'application/json'});
            return response.end('{"error":{"message":"this server wants a key"}}');
        }
        if (path === '/') {
            response.writeHead(200, {'Content-Type': 'text/html; charset=utf-8'});
            response.end(fs.readFileSync(o.page));
        } else if (path === '/parvin/model') {
            response.writeHead(200, {'Content-Type': 'application/json'});
            response.end(JSON.stringify(model));
        } else if (request.method === 'POST' && path.startsWith('/v1/'))
            answer(request, response, path === '/v1/chat/completions').catch(error => { console.error(error); response.end(); });
        else
            response.writeHead(404).end();
    });
    return new Promise(done => server.listen(o.port ?? 0, '127.0.0.1', () => done({url: 'http://127.0.0.1:' + server.address().port + '/', seen, close: () => { server.closeAllConnections(); server.close(); }})));
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
    const [page, port, ...pairs] = process.argv.slice(2), value = v => /^\d+$/.test(v) ? +v : v === 'false' ? false : v;
    const s = await serve({page, port: +(port ?? 8080), ...Object.fromEntries(pairs.map(p => p.split('=')).map(([k, v]) => [k, value(v)]))});
    console.log(s.url);
}
