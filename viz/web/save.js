// Saving: the trace (docs/trace.md), a picture of the map, the page with what it shows; and opening such a page, or a trace.
const save = (() => {
    const base = () => (run.model.name.replace(/\.gguf$/, '').replace(/[^\w.-]+/g, '-') || 'parvin') + '-' + run.tokens.length;
    function hand(name, blob) {
        const link = el('a');
        link.href = URL.createObjectURL(blob);
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }
    const bare = (array, holds) => Array.from(array, v => holds(v) ? v : null);

    function trace() {
        const m = run.model, lines = [{format: 'parvin-trace', version: 1, model: m.name, fingerprint: m.clusters?.fingerprint ?? '0'.repeat(16), n_layers: m.n_layers,
            n_clusters: n_clusters(), d_ffn: m.n_ff, device: m.device}];
        run.tokens.forEach((t, i) => lines.push({i, token: Math.max(t.id, 0), text: t.text, ms: t.ms, device_ms: 0,
            density: Number.isNaN(t.density) ? 1 : Math.min(t.density, 1), cluster: bare(t.cluster, c => c >= 0),
            n_neurons: Array.from(t.computed, n => n >= 0 ? n : m.n_ff), margin: bare(t.margin, v => !Number.isNaN(v))}));
        return lines.map(l => JSON.stringify(l) + '\n').join('');
    }
    // The map with what it shows, on a sheet with a title.
    function picture() {
        const from = map.canvas, ratio = from.width / from.clientWidth, top = 46 * ratio, edge = 14 * ratio;
        const sheet = document.createElement('canvas'), ctx = sheet.getContext('2d');
        sheet.width = from.width + 2 * edge;
        sheet.height = from.height + top + edge;
        ctx.fillStyle = css('--ground');
        ctx.fillRect(0, 0, sheet.width, sheet.height);
        ctx.fillStyle = css('--strong');
        ctx.font = '600 ' + 15 * ratio + 'px ' + css('--sans');
        ctx.fillText(run.model.name, edge, 23 * ratio);
        ctx.fillStyle = css('--faint');
        ctx.font = 12 * ratio + 'px ' + css('--sans');
        const life = +$('half-life').value;
        ctx.fillText('clusters that ' + plural(run.at + 1, 'token') + ' chose' + (life ? ', half-life ' + life + ' tokens' : ''), edge, 39 * ratio);
        ctx.drawImage(from, edge, top);
        return new Promise(done => sheet.toBlob(done, 'image/png'));
    }
    function record() {
        const lanes = new Map(), turns = run.turns.map(turn => ({...turn, lanes: turn.lanes.map(lane => {
            lanes.set(lane, lanes.size);
            const {mode, summary, error, text, stopped} = lane;
            return {mode, summary, error, text, stopped};
        })}));
        return {model: run.model, turns, tokens: run.tokens.map(t => [lanes.get(t.lane), t.id, t.text, t.shown, t.pos, t.ms,
            Array.from(t.cluster, (c, l) => [c, t.computed[l], t.active[l], Number.isNaN(t.margin[l]) ? null : +t.margin[l].toPrecision(4)])])};
    }
    const alone = () => page_source.replace(/(id="recorded">)[^]*?(<\/script>)/, (all, a, b) => a + JSON.stringify(record()).replace(/</g, '\\u003c') + b);

    function open(saved) {
        set_model(saved.model);
        const lanes = [];
        for (const turn of saved.turns) {
            turn.lanes = turn.lanes.map(lane => ({...lane, first: -1, last: -1}));
            lanes.push(...turn.lanes);
            run.turns.push(turn);
            emit('turn', turn);
        }
        for (const [lane, token, text, said, pos, ms, layers] of saved.tokens)
            add_token(lanes[lane], said, {token, text, pos, ms, layers});
        run.turns.forEach(turn => emit('done', turn));
    }
    // A trace of any program that writes docs/trace.md; throws what is wrong with it. Its last line may be cut.
    function read_trace(text) {
        const lines = text.split('\n').filter(Boolean), whole = text.endsWith('\n') ? lines.length : lines.length - 1;
        const parsed = lines.slice(0, Math.max(whole, 1)).map((line, i) => {
            try { return JSON.parse(line); } catch { throw new Error('line ' + (i + 1) + ' is not JSON'); }
        });
        const header = parsed.shift();
        if (header?.format !== 'parvin-trace' || header.version !== 1)
            throw new Error('its first line is not the header of a trace of version 1');
        const k = header.n_clusters, lane = {mode: k ? 'masked' : 'dense', first: -1, last: -1, text: ''}, turn = {prompt: '', story: true, lanes: [lane]};
        set_model({name: header.model, n_layers: header.n_layers, n_ff: header.d_ffn, device: header.device, modes: ['dense', 'masked'],
            clusters: k ? {k, fingerprint: header.fingerprint} : null});
        run.turns.push(turn);
        emit('turn', turn);
        for (const t of parsed) {
            const at = (key, l) => Array.isArray(t[key]) ? t[key][l] : undefined, row = (x, l) => [at('cluster', l) ?? -1, at('n_neurons', l), at('n_hit', l), at('margin', l)];
            add_token(lane, String(t.text), {token: t.token, text: String(t.text), pos: t.i, ms: t.ms, layers: Array.from({length: run.model.n_layers}, row)});
        }
        emit('done', turn);
    }
    async function open_file(file) {
        $('save').open = false;
        try {
            read_trace(await file.text());
            $('composer').hidden = $('fresh').hidden = true;
            banner('This was recorded earlier: ' + file.name, 'Back', () => location.reload());
        } catch (error) {
            banner(file.name + ' is not a trace: ' + error.message + '.', 'Close', () => banner());
        }
    }
    $('open-trace').addEventListener('click', () => $('open-file').click());
    $('open-file').addEventListener('change', event => {
        if (event.target.files[0])
            open_file(event.target.files[0]);
    });
    document.addEventListener('dragover', event => event.preventDefault());
    document.addEventListener('drop', event => {
        event.preventDefault();
        if (event.dataTransfer.files[0])
            open_file(event.dataTransfer.files[0]);
    });

    const offer = (id, make) => $(id).addEventListener('click', () => {
        $('save').open = false;
        make();
    });
    offer('save-trace', () => hand(base() + '.jsonl', new Blob([trace()], {type: 'application/x-ndjson'})));
    offer('save-png', async () => hand(base() + '.png', await picture()));
    offer('save-page', () => hand(base() + '.html', new Blob([alone()], {type: 'text/html'})));
    return {open, recorded: () => JSON.parse($('recorded').textContent)};
})();
