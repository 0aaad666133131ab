// Places for clusters, 0 to 1, so that clusters of any layer that take the same tokens lie close together: reciprocal
// averaging, as viz/align.c does. A token lies in the middle of its clusters, a cluster in the middle of its tokens; repeated,
// with the common middle taken out, this finds the line along which the text varies most. Made anew as tokens double.
const alike = (() => {
    const FIRST = 40, LATER = 12, MOST = 1500; // rounds; tokens that are looked at, evenly chosen
    let place = new Float32Array(0), score = new Float64Array(0), due = 12;

    function make() {
        const n = run.model.n_layers, k = n_clusters(), step = Math.ceil(run.tokens.length / MOST);
        const seen = run.tokens.filter((t, i) => i % step === 0 && t.known && !t.dense).map(t => t.cluster);
        const fresh = score.length !== n * k, rounds = fresh ? FIRST : LATER, sum = new Float64Array(n * k), count = new Float64Array(n * k), nodes = [];
        place = new Float32Array(n * k).fill(NaN);
        for (const chosen of seen)
            chosen.forEach((c, l) => { if (c >= 0 && !count[l * k + c]++) nodes.push(l * k + c); });
        if (fresh)
            score = new Float64Array(n * k);
        for (const node of nodes) // from where it was, so that colours stay; a new one begins near the middle
            score[node] ||= (Math.imul(node + 1, 0x9e3779b1) >>> 0) / 4294967296 - .5;
        for (let round = 0; round < rounds; round++) {
            let middle = 0, weight = 0, spread = 0;
            for (const chosen of seen) {
                let at = 0, m = 0;
                for (let l = 0; l < n; l++)
                    if (chosen[l] >= 0) {
                        at += score[l * k + chosen[l]];
                        m++;
                    }
                for (let l = 0; l < n; l++)
                    if (chosen[l] >= 0)
                        sum[l * k + chosen[l]] += at / m;
            }
            for (const node of nodes) {
                score[node] = sum[node] / count[node];
                sum[node] = 0;
                middle += score[node] * count[node];
                weight += count[node];
            }
            for (const node of nodes)
                spread += count[node] * (score[node] -= middle / weight) ** 2;
            spread = Math.sqrt(spread / weight) || 1;
            for (const node of nodes)
                score[node] /= spread;
        }
        // By rank, so that every stretch of colours is used as often.
        let before = 0, all = nodes.reduce((s, node) => s + count[node], 0);
        for (const node of nodes.sort((a, b) => score[a] - score[b])) {
            place[node] = (before + count[node] / 2) / all;
            before += count[node];
        }
        emit('places');
    }
    on('model clear', () => {
        place = new Float32Array(0);
        score = new Float64Array(0);
        due = 12;
    });
    on('token', () => {
        if (run.tokens.length >= due) {
            due *= 2;
            make();
        }
    });
    on('done', turn => { if (!turn.lanes.some(lane => lane.busy) && n_clusters()) make(); });
    return {place: (layer, cluster) => place[layer * n_clusters() + cluster] ?? NaN}; // NaN: not known yet
})();
