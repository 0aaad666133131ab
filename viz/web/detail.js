// The card beside a token or a cell, and the panel below the map: a token's way through the layers, or a cluster.
const share_text = (computed, of) => number(computed) + ' of ' + number(of) + ' neurons (' + percent(of ? computed / of : 0) + ' %)';
const cluster_name = (l, c) => 'Layer ' + l + ' \u00b7 cluster ' + number(c);
function swatch(l, c) {
    const node = el('i', 'swatch' + (c < 0 ? ' none' : ''));
    if (c >= 0)
        node.style.setProperty('--ink', colour.ink(l, c));
    return node;
}
const word_chips = words => words.map(w => el('span', 'word', visible(w).trim() || '\u2423'));

const tip = (() => {
    const box = $('tip');
    function put(rect, ...children) {
        box.replaceChildren(...children);
        box.hidden = false;
        const w = box.offsetWidth, h = box.offsetHeight, below = rect.bottom + 8;
        box.style.left = clamp(rect.left + rect.width / 2 - w / 2, 8, innerWidth - w - 8) + 'px';
        box.style.top = (below + h + 8 < innerHeight ? below : Math.max(8, rect.top - h - 8)) + 'px';
    }
    function token(i, rect) {
        const t = run.tokens[i], l = run.layer, m = run.model, lines = [];
        if (!t.known)
            lines.push(el('p', '', 'The text ends here: no neuron was computed for this token.'));
        else if (t.dense)
            lines.push(el('p', '', 'Dense: every neuron was computed.'));
        else if (l >= 0) {
            lines.push(el('p', '', swatch(l, t.cluster[l]), ' ' + cluster_name(l, t.cluster[l])));
            if (words_of(l, t.cluster[l]).length)
                lines.push(el('p', '', ...word_chips(words_of(l, t.cluster[l]))));
            if (t.computed[l] >= 0)
                lines.push(el('p', 'number', share_text(t.computed[l], m.n_ff) + ' computed' + (t.active[l] >= 0 ? ', ' + number(t.active[l]) + ' active' : '')));
            if (!Number.isNaN(t.margin[l]))
                lines.push(el('p', 'faint number', 'Margin of the router ' + digits(t.margin[l])));
        } else {
            let unsure = -1;
            t.margin.forEach((v, j) => { if (v < (unsure < 0 ? Infinity : t.margin[unsure])) unsure = j; });
            if (!Number.isNaN(t.density))
                lines.push(el('p', 'number', percent(t.density) + ' % of ' + plural(m.n_layers, 'layer') + '\u2019 neurons computed'));
            if (unsure >= 0)
                lines.push(el('p', 'faint number', 'Least sure: layer ' + unsure + ', margin ' + digits(t.margin[unsure])));
        }
        if (t.ms > 0)
            lines.push(el('p', 'faint number', digits(t.ms) + ' ms'));
        put(rect, el('p', 'name', called(t.text), el('small', '', t.id >= 0 ? 'token ' + t.id : '')), ...lines);
    }
    function cell(l, c, rect) {
        const uses = run.counts[l * n_clusters() + c], words = words_of(l, c);
        put(rect, el('p', '', swatch(l, uses ? c : -1), ' ' + cluster_name(l, c)), ...(words.length ? [el('p', '', ...word_chips(words))] : []),
            el('p', 'faint number', uses ? 'Chosen ' + plural(uses, 'time') + ' in this text' : 'Not chosen in this text'));
    }
    return {token, cell, hide: () => { box.hidden = true; }};
})();

const detail = (() => {
    const box = $('detail'), rows = [];
    let table = null, head = null, showing = '', last = 0, timer = 0;

    // A token's way through the layers. The rows stay; what they say changes.
    function build_steps() {
        const body = el('tbody');
        rows.length = 0;
        for (let l = 0; l < run.model.n_layers; l++) {
            const mark = swatch(l, -1), name = el('span'), go = el('button', '', mark, name), words = el('td', 'words');
            const computed = el('i'), active = el('em'), share = el('td', 'n'), margin = el('td', 'n');
            go.type = 'button';
            const row = el('tr', '', el('td', 'n', String(l)), el('td', '', go), words, el('td', '', el('span', 'meter', computed, active)), share, margin);
            row.addEventListener('click', () => {
                const c = run.tokens[shown_token()]?.cluster[l] ?? -1;
                if (c >= 0)
                    pick_cluster(l, c);
            });
            rows.push({mark, name, go, words, computed, active, share, margin, shown: null});
            body.append(row);
        }
        head = el('div', 'head');
        table = el('table', 'steps', el('thead', '', el('tr', '', ...['layer', 'cluster', 'its words', 'neurons', 'computed', 'margin'].map((t, i) => el('th', i === 0 || i > 3 ? 'n' : '', t)))), body);
        box.replaceChildren(head, table, close_button());
    }
    function fill_step(r, l, t) {
        const c = t.cluster[l], of = run.model.n_ff || 1, share = t.computed[l] >= 0 ? t.computed[l] / of : t.dense ? 1 : 0;
        r.mark.className = 'swatch' + (c < 0 ? ' none' : '');
        r.mark.style.setProperty('--ink', c < 0 ? 'transparent' : colour.ink(l, c));
        r.name.textContent = c >= 0 ? number(c) : t.dense ? 'all' : '\u2013';
        r.go.disabled = c < 0;
        const words = words_of(l, c), key = words.join('\n');
        if (r.shown !== key)
            r.words.replaceChildren(...word_chips(words));
        r.shown = key;
        r.computed.style.width = 100 * share + '%';
        r.computed.style.opacity = t.active[l] >= 0 ? '' : 1;
        r.active.style.width = t.active[l] >= 0 ? 100 * Math.min(t.active[l] / of, 1) + '%' : '0';
        r.share.textContent = t.known ? percent(share) + ' %' : '\u2013';
        r.margin.textContent = Number.isNaN(t.margin[l]) ? '\u2013' : digits(t.margin[l]);
    }
    function show_token(i) {
        const t = run.tokens[i];
        if (showing !== 'token' || rows.length !== run.model.n_layers)
            build_steps();
        showing = 'token';
        const facts = [t.id >= 0 ? 'token ' + number(t.id) : '', t.pos >= 0 ? 'position ' + number(t.pos) : '', t.ms > 0 ? digits(t.ms) + ' ms' : '',
            t.dense ? 'dense' : Number.isNaN(t.density) ? '' : percent(t.density) + ' % computed'].filter(Boolean);
        head.replaceChildren(el('span', 'name', called(t.text)), ...facts.map(f => el('span', 'note number', f)));
        rows.forEach((r, l) => fill_step(r, l, t));
        box.querySelector('.close').hidden = run.token < 0;
    }

    function show_cluster({layer, cluster}) {
        showing = 'cluster';
        const places = [], words = words_of(layer, cluster);
        let computed = 0, active = 0, measured = 0;
        run.tokens.forEach((t, i) => {
            if (t.cluster[layer] !== cluster)
                return;
            places.push(i);
            computed = Math.max(computed, t.computed[layer]);
            if (t.active[layer] >= 0) {
                active += t.active[layer];
                measured++;
            }
        });
        const facts = el('div', 'facts');
        const fact = (value, of) => facts.append(el('span', '', el('b', '', value), ' ' + of));
        fact(number(places.length), 'of ' + plural(run.tokens.length, 'token') + ' chose it');
        if (computed > 0)
            fact(number(computed), 'neurons (' + percent(computed / (run.model.n_ff || 1)) + ' %)');
        if (measured)
            fact(number(Math.round(active / measured)), 'of them active on average');
        const name = el('span', 'name', swatch(layer, places.length ? cluster : -1), ' ' + cluster_name(layer, cluster));
        const list = el('ul', 'places');
        for (const i of places.slice(-60).reverse())
            list.append(el('li', '', place(i, layer, cluster)));
        box.replaceChildren(el('div', 'head', name, ...(run.layer === layer ? [] : [tint_button(layer)])), facts,
            ...(words.length ? [el('p', '', el('span', 'note', knows_words() ? 'Its words when it was learned: ' : 'Its words here: '), ...word_chips(words))] : []),
            ...(places.length ? [list] : [el('p', 'note', 'No token of this text chose it.')]), close_button());
    }
    function tint_button(layer) {
        const node = button('Tint by this layer', () => { set_layer(layer); });
        node.className = 'plain';
        return node;
    }
    // A token between the ones before and after it, in its own answer.
    function place(i, layer, cluster) {
        const lane = run.tokens[i].lane, say = (a, b) => run.tokens.slice(a, b).map(t => visible(t.shown)).join('');
        const node = button('', () => { pick_token(i); prose.reveal(i); }), word = el('b', '', visible(run.tokens[i].shown));
        word.style.setProperty('--tint', colour.tint(layer, cluster));
        node.append(el('span', '', say(Math.max(lane.first, i - 9), i)), word, el('span', '', say(i + 1, Math.min(lane.last, i + 10))));
        return node;
    }
    function close_button() {
        const node = button('\u00d7', unpick);
        node.className = 'icon close';
        node.setAttribute('aria-label', 'Close');
        return node;
    }

    function draw() {
        const i = shown_token(), narrow = matchMedia('(max-width: 900px)').matches;
        document.body.toggleAttribute('data-sheet', narrow && document.body.dataset.tab !== 'live' && (run.token >= 0 || !!run.cluster));
        if (run.cluster)
            show_cluster(run.cluster);
        else if (i >= 0)
            show_token(i);
        else {
            showing = '';
            box.replaceChildren(el('p', 'lead', 'Every token takes a way through the layers. Pick a token of the text, or a cell of the map, to see it here.'));
        }
    }
    // While text is generated, ten times a second is enough.
    function draw_soon() {
        if (run.token >= 0 || run.cluster)
            return;
        clearTimeout(timer);
        const wait = Math.max(0, 100 - (performance.now() - last));
        timer = setTimeout(() => { last = performance.now(); soon(draw); }, wait);
    }
    on('pick clear look places', () => soon(draw));
    on('layer', () => { if (run.cluster) soon(draw); });
    on('at', draw_soon);
    on('model', () => {
        box.style.setProperty('--steps', 92 + 29 * run.model.n_layers + 'px');
        showing = '';
        soon(draw);
    });
    return {draw: () => soon(draw)};
})();
