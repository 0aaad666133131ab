// Tiles, and the timeline: a bar a token, as high as its share of neurons, that can be scrubbed and played at its own pace.
const timeline = (() => {
    const strip = $('strip'), scrub = $('scrub'), SPAN = 48; // tokens that a spark line shows
    let playing = 0;

    const share_of = t => Number.isNaN(t.density) ? 0 : t.density;
    function draw_strip() {
        const s = sized(strip), n = run.tokens.length;
        if (!s)
            return;
        const ctx = s.context;
        ctx.clearRect(0, 0, s.width, s.height);
        const w = n ? Math.min(s.width / n, 14) : 0, used = w * n, full = 1.1 * Math.max(.1, ...run.tokens.slice(-4000).map(share_of)), data = css('--data'), edge = css('--edge');
        ctx.fillStyle = css('--soft');
        ctx.fillRect(0, s.height - 2, s.width, 2);
        for (let px = 0, i = 0; i < n; px++) { // where tokens share a pixel, the fullest
            let v = 0, dense = true;
            const to = w >= 1 ? i + 1 : Math.min(n, Math.floor((px + 1) / w));
            for (const from = i; i < to || i === from; i++) {
                const t = run.tokens[i];
                v = Math.max(v, share_of(t));
                dense &&= t.dense;
            }
            const x = w >= 1 ? (i - 1) * w : px, bar = w >= 1 ? Math.max(w - (w > 3 ? 1 : 0), .8) : 1, h = Math.max(2, Math.min(v / full, 1) * (s.height - 4));
            ctx.globalAlpha = i - 1 <= run.at ? 1 : .3;
            ctx.fillStyle = dense ? edge : data;
            ctx.fillRect(x, s.height - 2 - h, bar, h);
        }
        ctx.globalAlpha = 1;
        ctx.fillStyle = css('--faint');
        for (const turn of run.turns)
            for (const lane of turn.lanes)
                if (lane.first > 0)
                    ctx.fillRect(lane.first * w - .5, 0, 1, s.height);
        if (run.at >= 0) {
            ctx.fillStyle = css('--accent');
            const x = clamp((run.at + .5) * w, 1, used - 1);
            ctx.fillRect(x - 1, 0, 2, s.height);
            ctx.beginPath();
            ctx.arc(x, 4, 4, 0, 7);
            ctx.fill();
        }
    }
    const from_pointer = event => {
        const r = strip.getBoundingClientRect(), n = run.tokens.length, w = n ? Math.min(r.width / n, 14) : 1;
        return Math.floor((event.clientX - r.left) / w);
    };

    function spark(id, values, from_zero) {
        const s = sized($(id));
        if (!s)
            return;
        s.context.clearRect(0, 0, s.width, s.height);
        const good = values.filter(v => v > 0).sort((a, b) => a - b), low = from_zero ? 0 : good[0] * .8;
        const high = Math.max(good[Math.floor(.95 * (good.length - 1))] ?? 0, 1e-9) * (from_zero ? 1.5 : 1.15); // a hiccup may leave the top
        if (good.length < 2)
            return;
        const at = values.map((v, i) => [s.width * i / (values.length - 1), s.height - 2 - (s.height - 4) * clamp((v - low) / (high - low), 0, 1)]);
        s.context.beginPath();
        at.forEach(([x, y], i) => i ? s.context.lineTo(x, y) : s.context.moveTo(x, y));
        s.context.strokeStyle = css('--data');
        s.context.lineWidth = 1.5;
        s.context.lineJoin = 'round';
        s.context.stroke();
        s.context.lineTo(s.width, s.height);
        s.context.lineTo(0, s.height);
        s.context.globalAlpha = .14;
        s.context.fillStyle = css('--data');
        s.context.fill();
        s.context.globalAlpha = 1;
    }
    const put = (id, text) => { $(id).textContent = text; };
    function draw_tiles() {
        const at = token_at(), t = run.tokens[at], none = '\u2013';
        const near = t ? run.tokens.slice(Math.max(t.lane.first, at - SPAN + 1), at + 1) : [], recent = near.slice(-8).filter(x => x.ms > 0);
        const ms = recent.reduce((sum, x) => sum + x.ms, 0) / recent.length;
        let sum = 0, n = 0;
        for (let i = 0; i <= at; i++)
            if (!Number.isNaN(run.tokens[i].density)) {
                sum += run.tokens[i].density;
                n++;
            }
        put('tile-speed', ms > 0 ? digits(1000 / ms) : none);
        put('tile-ms', t && t.ms > 0 ? digits(t.ms) : none);
        put('tile-now', t && !Number.isNaN(t.density) ? percent(t.density) : none);
        put('tile-mean', n ? percent(sum / n) : none);
        put('tile-context', t && t.pos >= 0 && run.model.ctx ? number(run.tokens[run.at].pos + 1) + ' of ' + number(run.model.ctx) + ' in context' : '');
        spark('spark-speed', near.map(x => x.ms > 0 ? 1000 / x.ms : 0));
        spark('spark-ms', near.map(x => x.ms));
        spark('spark-now', near.map(x => Number.isNaN(x.density) ? 0 : x.density), true);
    }
    function draw() {
        const n = run.tokens.length;
        scrub.max = Math.max(0, n - 1);
        scrub.value = Math.max(0, run.at);
        scrub.disabled = !n;
        scrub.setAttribute('aria-valuetext', n ? 'token ' + (run.at + 1) + ' of ' + n + ': ' + visible(run.tokens[run.at].text) : 'no tokens');
        $('at').textContent = n ? number(run.at + 1) + ' of ' + number(n) : 'no tokens';
        $('live').hidden = run.follow;
        $('play').disabled = n < 2;
        draw_strip();
        draw_tiles();
    }

    function stop() {
        clearTimeout(playing);
        playing = 0;
        $('play').textContent = '\u25b6';
        $('play').setAttribute('aria-label', 'Play');
    }
    function step() {
        if (run.at >= run.tokens.length - 1)
            return stop();
        go_to(run.at + 1);
        playing = setTimeout(step, clamp(run.tokens[run.at].ms || 60, 16, 400));
    }
    function play() {
        if (playing)
            return stop();
        if (run.tokens.length < 2)
            return;
        if (run.token >= 0)
            unpick();
        go_to(run.follow ? 0 : run.at);
        $('play').textContent = '\u275a\u275a';
        $('play').setAttribute('aria-label', 'Pause');
        playing = setTimeout(step, 30);
    }
    function jump(i) {
        stop();
        if (run.token >= 0)
            unpick();
        go_to(i);
    }
    scrub.addEventListener('input', () => jump(+scrub.value));
    scrub.addEventListener('pointerdown', event => {
        event.preventDefault(); // the strip's bars decide the place, not the hidden slider's own thumb
        scrub.focus();
        scrub.setPointerCapture(event.pointerId);
        jump(from_pointer(event));
    });
    scrub.addEventListener('pointermove', event => { if (event.buttons) jump(from_pointer(event)); });
    $('play').addEventListener('click', play);
    $('live').addEventListener('click', () => jump(run.tokens.length - 1));
    new ResizeObserver(() => soon(draw)).observe(strip);
    on('token at look model clear', () => soon(draw));
    on('clear', stop);
    return {play, stop};
})();
