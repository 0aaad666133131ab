// The server: what model it has, and answers as server-sent events. It is the page's own origin and nothing else.
const api = (() => {
    let key = '', stop = null;
    try { key = sessionStorage.getItem('parvin.key') ?? ''; } catch { /* none is kept */ }

    class Refusal extends Error {
        constructor(message, status, code) {
            super(message);
            this.status = status;
            this.code = code;
        }
    }
    const headers = () => ({'Content-Type': 'application/json', ...(key && {Authorization: 'Bearer ' + key})});
    async function refusal(response) {
        let said = null;
        try { said = (await response.json()).error; } catch { /* not JSON */ }
        return new Refusal(said?.message ?? 'The server answered ' + response.status + '.', response.status, said?.code ?? said?.param ?? '');
    }
    async function model() {
        const response = await fetch('parvin/model', {headers: headers()});
        if (!response.ok)
            throw await refusal(response);
        return response.json();
    }
    // One answer. heard(text, parvin) a chunk; returns the summary. `body` is what the request has beside stream and mode.
    async function answer(path, body, mode, heard) {
        const control = stop = new AbortController();
        let summary = null;
        try {
            const response = await fetch(path, {method: 'POST', headers: headers(), signal: control.signal,
                body: JSON.stringify({...body, stream: true, parvin: {mode, trace: true}})});
            if (!response.ok)
                throw await refusal(response);
            for await (const data of events(response.body.getReader())) {
                if (data === '[DONE]')
                    break;
                const chunk = JSON.parse(data), choice = chunk.choices?.[0];
                if (chunk.error)
                    throw new Refusal(chunk.error.message ?? 'The answer broke off.', 500, '');
                if (chunk.parvin?.summary)
                    summary = chunk.parvin.summary;
                heard(choice?.delta?.content ?? choice?.text ?? '', chunk.parvin?.layers ? chunk.parvin : null, choice?.finish_reason);
            }
        } finally {
            if (stop === control)
                stop = null;
        }
        return summary;
    }
    // The data of each event; the server's lines may end in CRLF and come in pieces.
    async function* events(reader) {
        const decode = new TextDecoder();
        let rest = '', data = [];
        for (;;) {
            const {done, value} = await reader.read();
            rest += value ? decode.decode(value, {stream: true}) : '';
            const lines = rest.split('\n');
            rest = lines.pop();
            for (const line of lines.map(l => l.replace(/\r$/, '')))
                if (line.startsWith('data:'))
                    data.push(line.slice(line[5] === ' ' ? 6 : 5));
                else if (!line && data.length) {
                    yield data.join('\n');
                    data = [];
                }
            if (done)
                return;
        }
    }
    return {
        model, answer, Refusal,
        stop: () => stop?.abort(),
        busy: () => !!stop,
        set_key(k) {
            key = k;
            try { sessionStorage.setItem('parvin.key', k); } catch { /* asked again next time */ }
        },
    };
})();
