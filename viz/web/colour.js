// Colours. Heat runs along a path in OKLab from "never" to "always", lightness rising all the way (falling on paper), as
// in viz/palette.c. Tints are alike for clusters that take the same tokens, lightness falling along their places, or tell a
// layer's clusters apart: seven hues that colour-blind eyes keep apart, times four underlines.
const colour = (() => {
    const paths = { // lightness, chroma, hue in degrees
        night: [[.21, .045, 280], [.40, .13, 275], [.62, .13, 240], [.83, .10, 190], [.98, .06, 105]],
        cividis: [[.24, .06, 265], [.45, .045, 260], [.67, .05, 100], [.93, .15, 102]],
        grey: [[.22, 0, 0], [.98, 0, 0]],
    };
    const apart = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];
    const lab = ([l, c, h]) => [l, c * Math.cos(h * Math.PI / 180), c * Math.sin(h * Math.PI / 180)];
    const mix = (a, b, t) => a.map((x, i) => x + (b[i] - x) * t);

    function linear([l, a, b]) {
        const p = (l + .3963377774 * a + .2158037573 * b) ** 3, q = (l - .1055613458 * a - .0638541728 * b) ** 3;
        const r = (l - .0894841775 * a - 1.291485548 * b) ** 3;
        return [4.0767416621 * p - 3.3077115913 * q + .2309699292 * r, -1.2684380046 * p + 2.6097574011 * q - .3413193965 * r,
            -.0041960863 * p - .7034186147 * q + 1.707614701 * r];
    }
    // The nearest colour that a screen has: chroma gives way.
    function screen(from) {
        let [l, a, b] = from, rgb = linear(from);
        for (let i = 0; i < 60 && rgb.some(v => v < -1e-4 || v > 1.0001); i++)
            rgb = linear([l, a *= .97, b *= .97]);
        return rgb.map(v => {
            const x = clamp(v, 0, 1);
            return Math.round(255 * (x <= .0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - .055));
        });
    }

    let dark = false, palette = 'night', tints = 'alike', heat = new Uint32Array(256), ground = [255, 255, 255];
    const looks = new Map(); // layer -> cluster -> the how-manieth it was to be chosen

    function make() {
        const path = paths[palette].map(lab);
        if (!dark)
            path[path.length - 1] = [.985, path.at(-1)[1] * .2, path.at(-1)[2] * .2];
        for (let i = 0; i < 256; i++) {
            const t = (dark ? i : 255 - i) / 255 * (path.length - 1), at = Math.min(Math.floor(t), path.length - 2);
            const [r, g, b] = screen(mix(path[at], path[at + 1], t - at));
            heat[i] = (255 << 24 | b << 16 | g << 8 | r) >>> 0; // the bytes R G B A of a little-endian machine
        }
        ground = dark ? [13, 16, 28] : [255, 255, 255];
    }
    function rank(layer, cluster) {
        let row = looks.get(layer);
        if (!row)
            looks.set(layer, row = new Map());
        if (!row.has(cluster))
            row.set(cluster, row.size);
        return row.get(cluster);
    }
    function base(layer, cluster) {
        const place = tints === 'alike' ? alike.place(layer, cluster) : 0;
        if (tints === 'alike')
            return Number.isNaN(place) ? [146, 153, 172] : screen(lab([(dark ? .90 : .82) - .40 * place, .125, (100 + 290 * place) % 360]));
        const i = rank(layer, cluster);
        return tints === 'hues' ? screen(lab([[.62, .80, .52, .72][i % 4], .13, i * 137.50776 % 360])) : apart[i % apart.length];
    }
    const text = ([r, g, b]) => 'rgb(' + Math.round(r) + ' ' + Math.round(g) + ' ' + Math.round(b) + ')';

    make();
    return {
        heat: () => heat,
        css_heat(v) {
            const c = heat[clamp(Math.round(255 * v), 0, 255)];
            return text([c & 255, c >> 8 & 255, c >> 16 & 255]);
        },
        ink: (layer, cluster) => cluster < 0 ? 'transparent' : text(base(layer, cluster)),
        tint: (layer, cluster) => cluster < 0 ? 'none' : text(mix(ground, base(layer, cluster), dark ? .36 : .3)),
        underline: (layer, cluster) => cluster < 0 || tints !== 'apart' ? 0 : Math.floor(rank(layer, cluster) / apart.length) % 4,
        forget: () => looks.clear(),
        set(what) {
            ({dark, palette, tints} = what);
            if (!paths[palette])
                palette = 'night';
            make();
        },
        is_dark: () => dark,
    };
})();
