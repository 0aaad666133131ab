// The text as flowing prose: one element a token, tinted by its cluster in the chosen layer, or with all layers' clusters as a
// band beneath it, first layer at the left.
const prose = (() => {
    const box = $('prose'), scroll = $('scroll'), elements = []; // elements[i] belongs to run.tokens[i]
    let places = new Map(), at_end = true, top = 0, marked = -1, mates = [], seen = -1, band = [];

    function show_turn(turn) {
        const node = el('article', 'turn'), parts = turn.lanes.length > 1 ? el('div', 'lanes') : null;
        if (turn.prompt)
            node.append(el(turn.story ? 'span' : 'div', turn.story ? 'said story' : 'said', turn.prompt));
        if (parts)
            node.append(parts);
        places.set(turn, {node});
        for (const lane of turn.lanes) {
            const answer = el(turn.story && !parts ? 'span' : 'div', 'answer'), about = el('div', 'about');
            const into = parts ? el('div', 'lane', el('h3', '', mode_name(lane.mode)), answer, about) : null;
            if (parts)
                parts.append(into);
            else
                node.append(answer, about);
            places.set(lane, {answer, about});
        }
        box.append(node);
        box.classList.toggle('wide', run.turns.some(t => t.lanes.length > 1));
        $('welcome').hidden = true;
        at_end = true;
        soon(to_end);
    }

    function show_token(token) {
        const i = run.tokens.length - 1, [, space, rest] = token.shown.match(/^( *)([^]*)$/), node = el('span', 't', rest || space);
        node.dataset.i = i;
        elements.push(node);
        const answer = places.get(token.lane)?.answer;
        if (rest && space && (token.lane.first < i || answer?.tagName === 'SPAN')) // what follows a prompt's words keeps its space
            answer?.append(space);
        answer?.append(node);
        tint(i);
        if (at_end && run.follow)
            soon(to_end);
    }
    const to_end = () => { scroll.scrollTop = scroll.scrollHeight; };

    function tint(i) {
        const t = run.tokens[i], node = elements[i], l = run.layer;
        if (t.dense || !t.known) {
            node.className = 't' + kept_marks(node);
            node.style.removeProperty('--tint');
            return;
        }
        if (l >= 0) {
            const u = colour.underline(l, t.cluster[l]);
            node.className = 't' + (u ? ' u' + u : '') + kept_marks(node);
            node.style.setProperty('--tint', colour.tint(l, t.cluster[l]));
            node.style.setProperty('--ink', colour.ink(l, t.cluster[l]));
            return;
        }
        const n = t.cluster.length;
        band.length = 0;
        for (let j = 0; j < n; j++)
            band.push(colour.ink(j, t.cluster[j]) + ' ' + (100 * j / n).toFixed(1) + '% ' + (100 * (j + 1) / n).toFixed(1) + '%');
        node.className = 't code' + kept_marks(node);
        node.style.setProperty('--tint', 'linear-gradient(90deg,' + band.join() + ')');
    }
    const kept_marks = node => ['on', 'mate', 'later', 'differs'].filter(c => node.classList.contains(c)).map(c => ' ' + c).join('');
    const retint = () => elements.forEach((node, i) => tint(i));

    function mark() {
        elements[marked]?.classList.remove('on');
        marked = run.token;
        elements[marked]?.classList.add('on');
        mates.forEach(node => node.classList.remove('mate'));
        mates = [];
        const c = run.cluster;
        if (c)
            run.tokens.forEach((t, i) => {
                if (t.cluster[c.layer] === c.cluster)
                    mates.push(elements[i]);
            });
        mates.forEach(node => node.classList.add('mate'));
    }
    // Tokens after the timeline's place are dim.
    function dim() {
        const at = run.follow ? elements.length - 1 : run.at;
        for (let i = Math.min(seen, at) + 1; i <= Math.max(seen, at) && i < elements.length; i++)
            elements[i].classList.toggle('later', i > at);
        seen = at;
    }

    // What stands below an answer: mode, speed, density, or why there is none.
    function about(turn) {
        for (const lane of turn.lanes) {
            const {about: box, answer} = places.get(lane), s = lane.summary;
            answer.classList.toggle('busy', !!lane.busy);
            box.classList.toggle('bad', !!lane.error);
            box.replaceChildren();
            if (lane.error) {
                box.append(el('span', '', lane.error));
                if (lane.retry)
                    box.append(button('Try again', lane.retry));
                continue;
            }
            if (lane.busy || lane.waiting)
                continue;
            const n = lane.first < 0 ? 0 : lane.last - lane.first, facts = [plural(n, 'token')];
            if (s) {
                facts.push(digits(as_number(s.tok_s, 0)) + ' tok/s');
                if (typeof s.density === 'number')
                    facts.push(percent(s.density) + ' % of neurons');
            }
            if (turn.lanes.length < 2)
                box.append(el('span', 'mode', mode_name(lane.mode)));
            facts.forEach(f => box.append(el('span', 'number', f)));
            if (lane.stopped)
                box.append(el('span', '', lane.stopped));
            if (turn.cut)
                box.append(el('span', '', 'older text left out'));
        }
        const [a, b] = turn.lanes;
        if (b && !a.busy && !b.busy && !b.waiting && !a.error && !b.error)
            compare(turn, a, b);
        if (at_end && run.follow)
            soon(to_end);
    }
    function compare(turn, a, b) {
        const node = places.get(turn).node, at = first_difference(a, b), n = Math.min(a.last - a.first, b.last - b.first);
        node.querySelector('.verdict')?.remove();
        const line = el('p', 'about verdict');
        if (at < 0)
            line.append(el('span', '', a.last - a.first === b.last - b.first ? 'Both texts are the same, ' + plural(n, 'token') + '.' : 'The first ' + plural(n, 'token') + ' are the same; one text ends there.'));
        else {
            const i = a.first + at, j = b.first + at;
            elements[i].classList.add('differs');
            elements[j].classList.add('differs');
            line.append(el('span', '', (at ? 'The same for ' + plural(at, 'token') + ', then ' : 'Different from the first token: ') + called(run.tokens[i].text) + ' dense, ' + called(run.tokens[j].text) + ' masked.'),
                button('Show', () => { elements[i].scrollIntoView({block: 'center'}); pick_token(j); }));
        }
        const faster = a.summary && b.summary ? as_number(b.summary.tok_s, 0) / as_number(a.summary.tok_s, 0) : 0;
        if (faster > 0 && Number.isFinite(faster))
            line.append(el('span', 'number', 'Masked took ' + Math.round(100 / faster) + ' % of the time.'));
        node.append(line);
    }

    function index_of(target) {
        const node = target.closest?.('.t');
        return node ? +node.dataset.i : -1;
    }
    box.addEventListener('click', event => {
        const i = index_of(event.target);
        if (i >= 0 && getSelection().isCollapsed)
            i === run.token ? unpick() : pick_token(i);
    });
    box.addEventListener('pointerover', event => {
        const i = event.pointerType === 'touch' ? -1 : index_of(event.target);
        i >= 0 ? tip.token(i, event.target.getBoundingClientRect()) : tip.hide();
    });
    box.addEventListener('pointerleave', () => tip.hide());
    box.addEventListener('keydown', event => {
        const step = {ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9}[event.key];
        if (!step || !elements.length || event.ctrlKey || event.metaKey || event.altKey)
            return;
        event.preventDefault();
        const from = run.token >= 0 ? run.token : step > 0 ? -1 : elements.length, i = clamp(from + step, 0, elements.length - 1);
        pick_token(i);
        elements[i].scrollIntoView({block: 'nearest'});
        const t = run.tokens[i], l = Math.max(run.layer, 0);
        $('spoken').textContent = visible(t.text) + (t.dense || !t.known ? '' : ', layer ' + l + ', cluster ' + t.cluster[l]);
    });
    scroll.addEventListener('scroll', () => {
        tip.hide();
        if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60)
            at_end = true;
        else if (scroll.scrollTop < top - 1) // text that grows is no wish to leave its end
            at_end = false;
        top = scroll.scrollTop;
    }, {passive: true});

    on('turn', show_turn);
    on('token', show_token);
    on('busy done', about);
    on('gone', turn => {
        places.get(turn)?.node.remove();
        $('welcome').hidden = run.turns.length > 0;
    });
    on('pick', mark);
    on('at', () => soon(dim));
    on('layer', retint); // which a change of the look ends with
    on('places', () => soon(retint));
    on('clear', () => {
        box.replaceChildren();
        elements.length = mates.length = 0;
        places = new Map();
        marked = seen = -1;
        $('welcome').hidden = false;
    });
    return {reveal: i => elements[i]?.scrollIntoView({block: 'nearest'})};
})();

function mode_name(mode) {
    return mode === 'masked' ? 'Masked' : 'Dense';
}
