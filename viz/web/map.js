// Layers by clusters. Where many clusters share a pixel, the pixel shows the hottest of them, so that one that fired alone is
// seen at 4,096 clusters too. Zooming widens the cells first and then heightens them; close by, cells carry number and words.
const map = (() => {
    const canvas = $('map'), mini = $('mini'), LEFT = 34, BELOW = 20, WIDEST = 110, TALLEST = 30;
    const view = {x: 0, y: 0, kx: 0, ky: 0}, target = {x: 0, y: 0, kx: 0, ky: 0}; // left and top cell, pixels a cell
    const strip = document.createElement('canvas'), pen = strip.getContext('2d');
    let heat = new Float32Array(0), most = 0, width = 0, height = 0, fitted = true, found = new Set(), found_at = -1, hover = null, place = null, rank = null, ordered = 0;

    const L = () => run.model.n_layers, K = n_clusters;
    let used_most = 0; // clusters that the busiest layer has chosen
    // Columns: where they are not ordered by number, those that nothing chose are left out.
    const C = () => place ? Math.min(K(), Math.max(used_most, 16)) : K();
    // Column of a cluster and cluster of a column, in the order that is shown.
    const column = (l, c) => rank ? rank[l * K() + c] : c;
    const cluster = (l, x) => place ? place[l * K() + x] : x;

    function order() {
        const by = $('order').value;
        if (by === 'number') {
            place = rank = null;
            return;
        }
        const k = K(), n = L() * k;
        ordered = performance.now();
        used_most = 0;
        if (!place || place.length !== n) {
            place = new Int32Array(n);
            rank = new Int32Array(n);
        }
        for (let l = 0; l < L(); l++) {
            const used = [], counts = run.counts.subarray(l * k, (l + 1) * k);
            let at = 0;
            for (let c = 0; c < k; c++)
                if (counts[c])
                    used.push(c);
            used_most = Math.max(used_most, used.length);
            used.sort((a, b) => by === 'use' ? counts[b] - counts[a] || a - b : alike.place(l, a) - alike.place(l, b) || a - b);
            for (const c of used)
                place[l * k + at++] = c;
            for (let c = 0; c < k; c++)
                if (!counts[c])
                    place[l * k + at++] = c;
            for (let x = 0; x < k; x++)
                rank[l * k + place[l * k + x]] = x;
        }
    }

    const fit_kx = () => (width - LEFT) / (C() || 1), fit_ky = () => Math.min((height - BELOW) / (L() || 1), 90);
    const widest = () => Math.max(WIDEST, fit_kx()), tallest = () => Math.max(TALLEST, fit_ky());
    function bound(v) {
        v.kx = clamp(v.kx, fit_kx(), widest());
        v.ky = clamp(v.ky, fit_ky(), tallest());
        v.x = clamp(v.x, 0, Math.max(0, C() - (width - LEFT) / v.kx));
        v.y = clamp(v.y, 0, Math.max(0, L() - (height - BELOW) / v.ky));
    }
    function fit() {
        Object.assign(target, {x: 0, y: 0, kx: fit_kx(), ky: fit_ky()});
        fitted = true;
        soon(draw);
    }
    // Zooms by `factor` about a pixel.
    function zoom(factor, px, py, at_once) {
        const x = target.x + (px - LEFT) / target.kx, y = target.y + py / target.ky;
        target.kx = clamp(target.kx * factor, fit_kx(), widest());
        target.ky = clamp(target.ky * Math.sqrt(factor), fit_ky(), tallest());
        target.x = x - (px - LEFT) / target.kx;
        target.y = y - py / target.ky;
        move(at_once);
    }
    function pan(dx, dy, at_once) {
        target.x -= dx / target.kx;
        target.y -= dy / target.ky;
        move(at_once);
    }
    function move(at_once) {
        bound(target);
        fitted = target.kx <= fit_kx() * 1.001 && target.ky <= fit_ky() * 1.001;
        canvas.style.touchAction = fitted ? 'pan-y' : 'none';
        if (at_once || still.matches)
            Object.assign(view, target);
        soon(draw);
    }
    function glide() {
        let near = true;
        for (const key of ['kx', 'ky', 'x', 'y']) {
            const d = target[key] - view[key];
            if (Math.abs(d) > 1e-3 * (Math.abs(target[key]) + .02)) {
                view[key] += d * .32;
                near = false;
            } else
                view[key] = target[key];
        }
        return near;
    }
    function bring(l, c) {
        target.kx = Math.max(target.kx, Math.min(24, widest()));
        target.ky = Math.max(target.ky, Math.min(18, tallest()));
        target.x = column(l, c) + .5 - (width - LEFT) / 2 / target.kx;
        target.y = l + .5 - (height - BELOW) / 2 / target.ky;
        move();
    }

    // The heat of rows [from, to) between the columns x and x + w / kx, one pixel row a layer, into `strip`.
    function paint(from, to, x, kx, w) {
        const rows = to - from, k = K(), lut = colour.heat(), scale = most > 0 ? 1 / most : 0;
        const image = pen.createImageData(w, rows), out = new Uint32Array(image.data.buffer), line = new Float32Array(w);
        const gap = kx >= 5, first = Math.max(0, Math.floor(x)), last = Math.min(C(), Math.ceil(x + w / kx));
        const bare = bits_of('--ground'), never = bits_of('--cell');
        for (let r = 0; r < rows; r++) {
            const l = from + r, base = l * k;
            line.fill(0);
            if (kx < 1)
                for (let c = first; c < last; c++) {
                    const v = heat[base + cluster(l, c)], px = (c - x) * kx | 0;
                    if (v > 0 && px >= 0 && px < w && v > line[px])
                        line[px] = v;
                }
            else
                for (let c = first; c < last; c++) {
                    const v = heat[base + cluster(l, c)], a = Math.max(0, Math.round((c - x) * kx)), b = Math.min(w, Math.round((c + 1 - x) * kx) - (gap ? 1 : 0));
                    line.fill(v, a, b);
                    if (gap && b < w)
                        line[b] = -1;
                }
            for (let px = 0; px < w; px++) {
                const v = line[px];
                out[r * w + px] = v < 0 ? bare : v > .004 * most && v > 0 ? lut[40 + 215 * Math.sqrt(v * scale) | 0] : never;
            }
        }
        strip.width = w;
        strip.height = rows;
        pen.putImageData(image, 0, 0);
    }
    // A colour of the style sheet as the bytes R G B A.
    function bits_of(name) {
        const n = parseInt(css(name).slice(1), 16);
        return (255 << 24 | (n & 255) << 16 | (n >> 8 & 255) << 8 | n >> 16) >>> 0;
    }

    function draw() {
        const s = sized(canvas);
        if (!s)
            return;
        const ctx = s.context;
        if (s.width !== width || s.height !== height) {
            width = s.width;
            height = s.height;
            if (fitted) {
                Object.assign(target, {x: 0, y: 0, kx: fit_kx(), ky: fit_ky()});
                Object.assign(view, target);
            } else
                move(true);
        }
        ctx.fillStyle = css('--ground');
        ctx.fillRect(0, 0, width, height);
        const nothing = empty_text();
        $('map-empty').textContent = nothing;
        canvas.setAttribute('aria-label', nothing || 'Map of ' + plural(L(), 'layer') + ' by ' + plural(K(), 'cluster') + '. Arrows move, plus and minus zoom, 0 shows all.');
        mini.hidden = fitted || !K();
        if (!K())
            return;
        if (place && performance.now() - ordered > 400 && run.follow) {
            order();
            if (fitted)
                Object.assign(target, {kx: fit_kx()});
        }
        if (heat.length !== run.counts.length)
            heat = new Float32Array(run.counts.length);
        most = heat_at(heat, run.at, +$('half-life').value);
        const arrived = glide();
        const from = Math.floor(view.y), to = Math.min(L(), Math.ceil(view.y + (height - BELOW) / view.ky)), w = Math.round((width - LEFT) * s.ratio);
        paint(from, to, view.x, view.kx * s.ratio, w);
        ctx.save();
        ctx.beginPath();
        ctx.rect(LEFT, 0, width - LEFT, Math.min(height - BELOW, (L() - view.y) * view.ky));
        ctx.clip();
        ctx.imageSmoothingEnabled = false;
        ctx.drawImage(strip, LEFT, (from - view.y) * view.ky, width - LEFT, (to - from) * view.ky);
        if (view.ky >= 4) {
            ctx.fillStyle = css('--ground');
            for (let l = from; l <= to; l++)
                ctx.fillRect(LEFT, Math.round((l - view.y) * view.ky * s.ratio) / s.ratio - 1, width - LEFT, 1);
        }
        if (view.kx >= 30 && view.ky >= 13)
            label_cells(ctx, from, to);
        rings(ctx);
        way(ctx);
        ctx.restore();
        axes(ctx, from, to);
        if (!fitted)
            draw_mini();
        if (!arrived)
            soon(draw);
    }
    function empty_text() {
        if (!run.model.n_layers)
            return '';
        if (!K())
            return 'No clusters are loaded, so every neuron is computed. \u2018parvin fit\u2019 learns clusters for a model.';
        const t = run.tokens[shown_token()];
        return t && t.dense ? 'This token is dense: every neuron was computed, no cluster was chosen.' : '';
    }

    const left_of = (l, c) => LEFT + (column(l, c) - view.x) * view.kx, top_of = l => (l - view.y) * view.ky;
    function label_cells(ctx, from, to) {
        ctx.font = '11px ' + css('--sans');
        ctx.textBaseline = 'middle';
        const last = Math.min(C(), Math.ceil(view.x + (width - LEFT) / view.kx)), lut = colour.heat(), scale = most > 0 ? 1 / most : 0;
        for (let l = from; l < to; l++)
            for (let x = Math.floor(view.x); x < last; x++) {
                const c = cluster(l, x), words = words_of(l, c), v = heat[l * K() + c];
                const bits = v > .004 * most && v > 0 ? lut[40 + 215 * Math.sqrt(v * scale) | 0] : bits_of('--cell');
                const bright = (bits & 255) * .3 + (bits >> 8 & 255) * .59 + (bits >> 16 & 255) * .11 > 140;
                ctx.fillStyle = bright ? '#0e121e' : '#f5f7ff';
                const text = view.kx >= 64 && words.length ? visible(words[0]).trim() + (words[1] ? ' ' + visible(words[1]).trim() : '') : String(c);
                ctx.save();
                ctx.beginPath();
                ctx.rect(left_of(l, c) + 2, top_of(l), view.kx - 5, view.ky);
                ctx.clip();
                ctx.fillText(text, left_of(l, c) + 4, top_of(l) + view.ky / 2);
                ctx.restore();
            }
    }
    function ring(ctx, l, c, line, stroke) {
        const w = Math.max(view.kx, 5), h = Math.max(view.ky - 1, 4), x = left_of(l, c) + (view.kx - w) / 2;
        ctx.lineWidth = line + 2;
        ctx.strokeStyle = css('--ground');
        ctx.strokeRect(x - .5, top_of(l) - .5, w, h + 1);
        ctx.lineWidth = line;
        ctx.strokeStyle = stroke;
        ctx.strokeRect(x - .5, top_of(l) - .5, w, h + 1);
    }
    function rings(ctx) {
        const miss = css('--miss'), ink = css('--strong');
        let n = 0;
        for (const at of found) { // those that were chosen first; too many rings would hide the map
            const in_view = left_of(at / K() | 0, at % K()) < width && top_of(at / K() | 0) < height && left_of(at / K() | 0, at % K()) + view.kx > LEFT;
            if (in_view && n++ < 400)
                ring(ctx, at / K() | 0, at % K(), 1.5, miss);
        }
        if (hover)
            ring(ctx, hover.layer, hover.cluster, 1.5, ink);
        if (run.cluster)
            ring(ctx, run.cluster.layer, run.cluster.cluster, 2.5, css('--accent'));
    }
    // The way of the shown token through the layers.
    function way(ctx) {
        const t = run.tokens[shown_token()];
        if (!t || t.dense || !t.known)
            return;
        const at = [];
        for (let l = 0; l < L(); l++)
            if (t.cluster[l] >= 0)
                at.push([left_of(l, t.cluster[l]) + view.kx / 2, top_of(l) + view.ky / 2]);
        const draw_line = (w, ink) => {
            ctx.lineWidth = w;
            ctx.strokeStyle = ink;
            ctx.beginPath();
            at.forEach(([x, y], i) => i ? ctx.lineTo(x, y) : ctx.moveTo(x, y));
            ctx.stroke();
        };
        const accent = css('--accent'), r = clamp(view.ky * .3, 1.8, 4.5);
        const line = run.token >= 0 || L() <= 24; // many layers' lines would hide what is alive
        ctx.globalAlpha = run.token >= 0 ? .9 : .5;
        if (run.token >= 0)
            draw_line(3.5, css('--ground'));
        if (line)
            draw_line(run.token >= 0 ? 1.6 : 1, accent);
        ctx.globalAlpha = 1;
        ctx.fillStyle = accent;
        ctx.strokeStyle = css('--ground');
        ctx.lineWidth = 1.2;
        for (const [x, y] of at) {
            ctx.beginPath();
            ctx.arc(x, y, r, 0, 7);
            ctx.fill();
            ctx.stroke();
        }
    }
    function axes(ctx, from, to) {
        ctx.font = '11px ' + css('--sans');
        ctx.fillStyle = css('--faint');
        ctx.textBaseline = 'middle';
        ctx.textAlign = 'right';
        const every = [1, 2, 5, 10, 20, 50, 100].find(n => n * view.ky >= 13) ?? 200;
        for (let l = from; l < to; l++) {
            const y = top_of(l) + view.ky / 2;
            if (l % every === 0 && y > 4 && y < height - BELOW - 2) {
                ctx.fillStyle = l === run.layer ? css('--accent') : css('--faint');
                ctx.fillText(l, LEFT - 7, y);
            }
        }
        ctx.fillStyle = css('--faint');
        ctx.textAlign = 'center';
        const step = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384].find(n => n * view.kx >= 54) ?? 32768;
        const y = Math.min(height - BELOW, (L() - view.y) * view.ky) + 11;
        for (let x = Math.ceil(view.x / step) * step; x < C(); x += step) {
            const px = LEFT + (x + .5 - view.x) * view.kx;
            if (px > width - 12)
                break;
            ctx.fillText(place ? '#' + (x + 1) : x, Math.max(px, LEFT + 4), y);
        }
        ctx.textAlign = 'left';
    }
    function draw_mini() {
        const s = sized(mini);
        if (!s)
            return;
        paint(0, L(), 0, mini.width / C(), mini.width);
        s.context.imageSmoothingEnabled = false;
        s.context.drawImage(strip, 0, 0, s.width, s.height);
        const x = view.x / C() * s.width, y = view.y / L() * s.height;
        const w = Math.min(s.width - x, (width - LEFT) / view.kx / C() * s.width), h = Math.min(s.height - y, (height - BELOW) / view.ky / L() * s.height);
        s.context.strokeStyle = css('--accent');
        s.context.lineWidth = 2;
        s.context.strokeRect(x + 1, y + 1, Math.max(w - 2, 3), Math.max(h - 2, 3));
    }

    // The cell at a pixel; of cells narrower than a finger the hottest near by.
    function cell_at(px, py, reach) {
        const l = Math.floor(view.y + py / view.ky), x = view.x + (px - LEFT) / view.kx;
        if (l < 0 || l >= L() || px < LEFT || py > height - BELOW || x < 0 || x >= C())
            return null;
        let best = {layer: l, cluster: cluster(l, Math.floor(x))}, hot = heat[l * K() + best.cluster] || 0;
        if (view.kx < reach) {
            const from = Math.max(0, Math.floor(x - reach / view.kx)), to = Math.min(C() - 1, Math.floor(x + reach / view.kx));
            for (let i = from; i <= to && !hot; i++)
                if (heat[l * K() + cluster(l, i)] > 0)
                    best = {layer: l, cluster: cluster(l, i)}, hot = 1;
        }
        return best;
    }

    // A word: clusters that have it among their words, or that a token with it chose.
    function search(text, step) {
        const wanted = text.trim().toLowerCase(), had = found.size;
        found = new Set();
        if (wanted && K()) {
            const all = [];
            for (let l = 0; l < L(); l++)
                for (let c = 0; c < K(); c++)
                    if (words_of(l, c).some(w => w.toLowerCase().includes(wanted)))
                        all.push(l * K() + c);
            for (const t of run.tokens)
                if (t.text.toLowerCase().includes(wanted))
                    t.cluster.forEach((c, l) => { if (c >= 0) all.push(l * K() + c); });
            found = new Set(all.sort((a, b) => run.counts[b] - run.counts[a] || a - b));
        }
        if (!step || had !== found.size)
            found_at = -1;
        $('found').textContent = !wanted ? '' : found.size ? plural(found.size, 'cluster') : 'no cluster';
        if (step && found.size) {
            const all = [...found];
            found_at = (found_at + step + all.length) % all.length;
            pick_cluster(all[found_at] / K() | 0, all[found_at] % K());
            bring(run.cluster.layer, run.cluster.cluster);
            $('found').textContent = number(found_at + 1) + ' of ' + number(all.length);
        }
        soon(draw);
    }
    $('find').addEventListener('input', () => search($('find').value, 0));
    $('find').addEventListener('keydown', event => {
        if (event.key === 'Enter') {
            event.preventDefault();
            search($('find').value, event.shiftKey ? -1 : 1);
        }
    });

    const pointers = new Map();
    let travelled = 0, spread = 0;
    const local = event => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    canvas.addEventListener('pointerdown', event => {
        canvas.setPointerCapture(event.pointerId);
        pointers.set(event.pointerId, local(event));
        travelled = spread = 0;
        tip.hide();
    });
    canvas.addEventListener('pointermove', event => {
        const [x, y] = local(event), before = pointers.get(event.pointerId);
        if (!before) {
            hover = cell_at(x, y, 5);
            hover ? tip.cell(hover.layer, hover.cluster, {left: event.clientX, width: 0, top: event.clientY - 6, bottom: event.clientY + 10}) : tip.hide();
            return soon(draw);
        }
        travelled += Math.abs(x - before[0]) + Math.abs(y - before[1]);
        pointers.set(event.pointerId, [x, y]);
        if (pointers.size === 1)
            return pan(x - before[0], y - before[1], true);
        const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread)
            zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, true);
        spread = now;
    });
    const lift = event => {
        const was = pointers.delete(event.pointerId), [x, y] = local(event);
        if (event.type === 'pointerup' && was && travelled < 6) {
            const at = cell_at(x, y, event.pointerType === 'touch' ? 12 : 5);
            at ? pick_cluster(at.layer, at.cluster) : unpick();
        }
    };
    canvas.addEventListener('pointerup', lift);
    canvas.addEventListener('pointercancel', lift);
    canvas.addEventListener('pointerleave', () => { hover = null; tip.hide(); soon(draw); });
    canvas.addEventListener('wheel', event => {
        event.preventDefault();
        tip.hide();
        event.shiftKey ? pan(-event.deltaY - event.deltaX, 0, true) : zoom(Math.exp(-clamp(event.deltaY, -240, 240) * .0032), ...local(event));
    }, {passive: false});
    canvas.addEventListener('dblclick', event => zoom(3, ...local(event)));
    canvas.addEventListener('keydown', event => {
        const step = {ArrowLeft: [70, 0], ArrowRight: [-70, 0], ArrowUp: [0, 50], ArrowDown: [0, -50]}[event.key];
        if (event.ctrlKey || event.metaKey || event.altKey)
            return;
        if (step)
            pan(...step);
        else if (event.key === '+' || event.key === '=')
            zoom(1.6, width / 2, height / 2);
        else if (event.key === '-')
            zoom(1 / 1.6, width / 2, height / 2);
        else if (event.key === '0')
            fit();
        else
            return;
        event.preventDefault();
    });
    function aim(event) {
        const r = mini.getBoundingClientRect();
        target.x = (event.clientX - r.left) / r.width * C() - (width - LEFT) / 2 / target.kx;
        target.y = (event.clientY - r.top) / r.height * L() - (height - BELOW) / 2 / target.ky;
        move(true);
    }
    mini.addEventListener('pointerdown', event => { mini.setPointerCapture(event.pointerId); aim(event); });
    mini.addEventListener('pointermove', event => { if (event.buttons) aim(event); });
    $('zoom-in').addEventListener('click', () => zoom(1.9, width / 2, height / 2));
    $('zoom-out').addEventListener('click', () => zoom(1 / 1.9, width / 2, height / 2));
    $('zoom-fit').addEventListener('click', fit);
    $('order').addEventListener('change', () => { order(); fit(); });
    $('half-life').addEventListener('change', () => soon(draw));
    new ResizeObserver(() => soon(draw)).observe(canvas);

    on('model clear', () => { found = new Set(); $('find').value = $('found').textContent = ''; place = rank = null; order(); fit(); });
    on('places', order);
    on('token pick at look layer places', () => soon(draw));
    return {canvas};
})();
