// A made-up run for a page without a server: '#demo' or '#demo=LAYERSxCLUSTERS'. Numbers are drawn from a seed, so that
// pictures of it are the same every time. Neighbouring layers choose by the word's kind, as real ones seem to.
const demo = (() => {
    const told = [
        ['Tell me of the lamp and the moth.', 'A lamp stood in the window of a small house, and every evening a moth came to look at it. "You are the brightest thing I know," said the moth, "and yet you never leave your place." The lamp thought about this for a while. "I burn only where I am needed," it said at last. "Most of the house is dark, and nobody minds." The moth flew once around the room and saw that it was so: the stairs were dark, the cellar was dark, and the people slept well.\n\nFrom then on the moth asked the lamp every evening which rooms it had lit that day, and the lamp told it. So they both learned something about the house.'],
        ['And what did they learn?', 'They learned that the kitchen wants light in the morning and the desk at night, and that no room wants it always. "If I know who is coming," said the lamp, "I know where to shine." The moth, who had been counting, said that it was three rooms of twelve.'],
    ];
    const kinds = [[/^[A-Z]/, 0], [/^["\u201c\u201d]/, 1], [/^[.,:;?!]/, 2], [/^(the|a|an|its?|they|he|she|which|who|this|that|both|every|no|one)$/i, 3],
        [/^(and|or|of|in|to|at|around|from|for|about|as|where|if|than)$/i, 4], [/^(lamp|moth|light|evening|night|morning|dark|brightest|shine|lit|burn)/i, 5],
        [/(ed|ew|ame|ood|ere|was|aw|said|told|is)$/, 6], [/^\s*$/, 7]];
    const examples = ['the', 'and', '.', ',', 'of', ' said', 'lamp', 'dark', 'house', 'moth', 'room', 'evening', '"', 'in', 'was', 'light', 'night', 'then', 'they', 'window'];
    const hash = (a, b, c) => {
        let x = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 7, 0x85ebca6b) ^ Math.imul(c + 3, 0xc2b2ae35);
        x = Math.imul(x ^ x >>> 15, 0x2c1b3c6d);
        x = Math.imul(x ^ x >>> 12, 0x297a2d39);
        return ((x ^ x >>> 15) >>> 0) / 4294967296;
    };
    const split = text => text.match(/ ?[A-Za-z\u2019]+| ?["\u201c\u201d]|[^A-Za-z\s]|\n+|\s/g);
    const name = text => [...text].reduce((h, c) => Math.imul(h, 31) + c.codePointAt(0) | 0, 7) & 0x7fff;

    function model(n_layers, k) {
        const words = [];
        for (let l = 0; l < n_layers; l++) {
            words.push([]);
            for (let c = 0; c < k; c++)
                words[l].push([0, 1, 2, 3].map(i => examples[Math.floor(hash(l, c, i + 50) * examples.length)]).filter((w, i, all) => all.indexOf(w) === i));
        }
        return {name: 'a made-up run', n_layers, n_ff: 2048, n_vocab: 32768, ctx: 2048, device: 'no server', modes: ['dense', 'masked'],
            clusters: {n_layers, k, density: .25, words}};
    }
    // One token's record as a server sends it.
    function record(text, pos, masked) {
        const m = run.model, word = text.trim(), kind = kinds.find(([re]) => re.test(word))?.[1] ?? 8, id = name(text), layers = [];
        for (let l = 0; l < m.n_layers; l++) {
            const early = hash(id, l, 1) < .75 - .5 * l / m.n_layers, k = n_clusters();
            const c = Math.floor(k * (early ? hash(kind, l, 2) : hash(id & 63, l, 3 + pos % 3)));
            const computed = masked ? Math.round(m.n_ff * (.14 + .2 * hash(c, l, 4))) : m.n_ff;
            layers.push([masked ? c : -1, computed, Math.round(computed * (masked ? .52 : .13) * (.7 + .6 * hash(id, l, 5))), masked ? +(4 * hash(id, l, 6) ** 2).toFixed(3) : null]);
        }
        return {token: id, text, pos, ms: +((masked ? 9 : 21) * (.9 + .3 * hash(id, pos, 8))).toFixed(2), layers};
    }
    function fill(repeats) {
        let pos = 4;
        for (let r = 0; r < repeats; r++)
            for (const [prompt, answer] of told) {
                const lane = {mode: 'masked', first: -1, last: -1, text: answer}, turn = {prompt, mode: 'masked', lanes: [lane]};
                run.turns.push(turn);
                emit('turn', turn);
                for (const text of split(answer))
                    add_token(lane, text, record(text, pos++, true));
                emit('done', turn);
            }
    }
    return {model, fill};
})();
