// What was generated, and what is looked at. A token keeps four arrays with one number a layer: cluster (-1: all neurons
// were computed), neurons computed, neurons active, the router's margin. Not measured: -1, margin NaN.
const run = {
    model: {name: '', n_layers: 0, n_ff: 0, n_vocab: 0, ctx: 0, device: '', clusters: null, modes: ['dense']},
    turns: [], // {prompt, story, mode, lanes: [{mode, first, last, summary, error, text}], busy}
    tokens: [],
    counts: new Uint32Array(0), // times chosen, layer by layer
    at: -1, follow: true, // where the timeline stands
    token: -1, cluster: null, // what was picked: a token's number, or {layer, cluster}
    layer: -1, // that tints the text; -1: all
};

const n_clusters = () => run.model.clusters ? run.model.clusters.k : 0;
// A cluster's words, four at most: the server's, else those that chose it most often in this text.
const knows_words = () => !!run.model.clusters?.words.length;
const taken = new Map(); // layer and cluster -> text -> times
function words_of(layer, cluster) {
    if (cluster < 0)
        return [];
    if (knows_words())
        return run.model.clusters.words[layer]?.[cluster] ?? [];
    const times = taken.get(layer * n_clusters() + cluster);
    return times ? [...times].sort((a, b) => b[1] - a[1]).slice(0, 4).map(([text]) => text) : [];
}
function count_word(text, layer, cluster) {
    const key = layer * n_clusters() + cluster, word = text.trim() || text;
    let times = taken.get(key);
    if (!times)
        taken.set(key, times = new Map());
    times.set(word, (times.get(word) ?? 0) + 1);
}

const as_count = (x, most) => Number.isInteger(x) && x >= 0 && x <= most ? x : -1;
const as_number = (x, other) => typeof x === 'number' && Number.isFinite(x) ? x : other;

// A model as the server describes it; what is missing or absurd is left out rather than believed.
function as_model(m) {
    const list = x => Array.isArray(x) ? x : [];
    const model = {name: String(m.name ?? ''), device: String(m.device ?? ''), clusters: null,
        chat: m.chat !== false, modes: list(m.modes).filter(x => x === 'dense' || x === 'masked')};
    for (const key of ['n_layers', 'n_ff', 'n_vocab', 'ctx'])
        model[key] = Math.max(0, as_count(m[key], 1e9));
    const c = m.clusters;
    if (c && as_count(c.k, 65536) > 0 && model.n_layers > 0 && model.n_layers * c.k <= 4194304)
        model.clusters = {k: c.k, fingerprint: /^[0-9a-f]{16}$/.test(c.fingerprint) ? c.fingerprint : '0'.repeat(16), density: as_number(c.density, 0),
            words: list(c.words).map(row => list(row).map(w => list(w).slice(0, 4).map(String)))};
    if (!model.modes.length)
        model.modes = ['dense'];
    return model;
}

function set_model(m) {
    run.model = as_model(m);
    clear_run();
    emit('model');
}

function clear_run() {
    run.turns = [];
    run.tokens = [];
    run.counts = new Uint32Array(run.model.n_layers * n_clusters());
    run.at = run.token = -1;
    run.follow = true;
    run.cluster = null;
    taken.clear();
    colour.forget();
    emit('clear');
    emit('pick');
    emit('at');
}

// said: the text as the answer has it. parvin: the chunk's record.
function add_token(lane, said, parvin) {
    const n = run.model.n_layers, k = n_clusters(), rows = Array.isArray(parvin.layers) ? parvin.layers : [];
    const cluster = new Int32Array(n).fill(-1), computed = new Int32Array(n).fill(-1), active = new Int32Array(n).fill(-1);
    const margin = new Float32Array(n).fill(NaN);
    let sum = 0, measured = 0;
    for (let l = 0; l < n && l < rows.length; l++) {
        const row = Array.isArray(rows[l]) ? rows[l] : [];
        cluster[l] = as_count(row[0], k - 1);
        computed[l] = as_count(row[1], 1e9);
        active[l] = as_count(row[2], 1e9);
        margin[l] = cluster[l] >= 0 ? as_number(row[3], NaN) : NaN;
        if (computed[l] >= 0) {
            sum += computed[l];
            measured++;
        }
    }
    const text = typeof parvin.text === 'string' ? parvin.text : said;
    for (let l = 0; l < n; l++)
        if (cluster[l] >= 0) {
            run.counts[l * k + cluster[l]]++;
            count_word(text, l, cluster[l]);
        }
    // A part of a character comes as \xNN; what the answer says of it is what is shown.
    const token = {id: as_count(parvin.token, 1e9), text, shown: /\\x[0-9A-Fa-f]{2}/.test(text) ? said : text, pos: as_count(parvin.pos, 1e9),
        ms: as_number(parvin.ms, 0), lane, cluster, computed, active, margin,
        density: measured && run.model.n_ff ? sum / (measured * run.model.n_ff) : NaN,
        known: rows.length > 0, dense: rows.length > 0 && cluster.every(c => c < 0)}; // the last token of a text is not computed
    if (lane.first < 0)
        lane.first = run.tokens.length;
    run.tokens.push(token);
    lane.last = run.tokens.length;
    if (run.follow)
        run.at = run.tokens.length - 1;
    emit('token', token);
    if (run.follow)
        emit('at');
}

// The first token where two lanes part, counted from their start; -1 where one is all of the other, or both are the same.
function first_difference(a, b) {
    const n = Math.min(a.last - a.first, b.last - b.first);
    if (a.first < 0 || b.first < 0)
        return -1;
    for (let i = 0; i < n; i++) {
        const x = run.tokens[a.first + i], y = run.tokens[b.first + i];
        if (x.id !== y.id || x.text !== y.text)
            return i;
    }
    return -1;
}

// Chosen times until token `at`, older ones fading by half every half_life tokens (0: none fade), into heat; the most.
function heat_at(heat, at, half_life) {
    const n = run.model.n_layers, k = n_clusters(), fade = half_life ? 0.5 ** (1 / half_life) : 1;
    let most = 0, weight = 1;
    heat.fill(0);
    if (!half_life && at === run.tokens.length - 1) {
        for (let i = 0; i < heat.length; i++)
            if ((heat[i] = run.counts[i]) > most)
                most = heat[i];
        return most;
    }
    for (let i = at; i >= 0 && weight > 0.002; i--, weight *= fade) {
        const chosen = run.tokens[i].cluster;
        for (let l = 0; l < n; l++)
            if (chosen[l] >= 0) {
                const v = heat[l * k + chosen[l]] += weight;
                if (v > most)
                    most = v;
            }
    }
    return most;
}

function pick_token(i) {
    run.token = i;
    run.cluster = null;
    emit('pick');
}
function pick_cluster(layer, cluster) {
    run.cluster = cluster >= 0 ? {layer, cluster} : null;
    emit('pick');
}
function unpick() {
    run.token = -1;
    run.cluster = null;
    emit('pick');
}
// Moves the timeline; the last token follows what is generated.
function go_to(i) {
    run.at = clamp(i, run.tokens.length ? 0 : -1, run.tokens.length - 1);
    run.follow = run.at === run.tokens.length - 1;
    emit('at');
}
// The timeline's token; for the last of a text, of which nothing was computed, the one before.
const token_at = () => run.at > 0 && !run.tokens[run.at].known && run.tokens[run.at - 1].lane === run.tokens[run.at].lane ? run.at - 1 : run.at;
// The token that the map and the card show: the one picked, or the timeline's.
const shown_token = () => run.token >= 0 ? run.token : token_at();
