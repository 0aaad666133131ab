// Start, look, keys.
function set_look() {
    const theme = $('theme').value, dark = theme === 'dark' || (theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
    document.documentElement.classList.toggle('dark', dark);
    styles.clear();
    colour.set({dark, palette: $('palette').value, tints: $('tints').value});
    emit('look');
    set_layer(run.layer);
}
for (const id of ['theme', 'palette', 'tints']) {
    const had = kept.get(id);
    if (had && [...$(id).options].some(o => o.value === had))
        $(id).value = had;
    $(id).addEventListener('change', () => { kept.set(id, $(id).value); set_look(); });
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', set_look);

function set_layer(l) {
    run.layer = clamp(l, -1, run.model.n_layers - 1);
    $('layer').value = run.layer;
    $('tint-note').textContent = !run.model.clusters ? 'no clusters, no tint' : run.layer < 0 ? 'a band a token, first layer left' : $('tints').value === 'alike' ? 'like tint, like tokens' : 'same tint, same cluster';
    emit('layer');
}
$('layer').addEventListener('change', () => set_layer(+$('layer').value));
$('layer-down').addEventListener('click', () => set_layer(run.layer - 1));
$('layer-up').addEventListener('click', () => set_layer(run.layer + 1));

on('model', () => {
    const m = run.model, c = m.clusters;
    document.title = m.name ? m.name + ' \u2013 Parvin' : 'Parvin';
    $('model-name').textContent = m.name;
    $('model-facts').textContent = [plural(m.n_layers, 'layer') + ' of ' + plural(m.n_ff, 'neuron'), c ? plural(c.k, 'cluster') + ' a layer' : 'no clusters', m.device].filter(Boolean).join(' \u00b7 ');
    $('model').title = m.name + '\n' + $('model-facts').textContent;
    $('layer').replaceChildren(...Array.from({length: m.n_layers + 1}, (x, i) => new Option(i ? 'layer ' + (i - 1) : 'all layers', i - 1)));
    for (const id of ['layer', 'layer-down', 'layer-up', 'find', 'half-life', 'order', 'zoom-in', 'zoom-out', 'zoom-fit'])
        $(id).disabled = !c;
    set_layer(c ? m.n_layers >> 1 : -1);
});

function banner(text, action, act) {
    $('banner').hidden = !text;
    $('banner-text').textContent = text ?? '';
    $('banner-do').textContent = action ?? '';
    $('banner-do').hidden = !action;
    $('banner-do').onclick = act ?? null;
}
async function connect() {
    try {
        const model = await api.model();
        banner();
        set_model(model);
    } catch (error) {
        if (error.status === 401)
            return ask_key(connect);
        banner(error instanceof api.Refusal ? error.message : 'There is no server here. \u2018parvin serve MODEL\u2019 starts one.', 'Try again', connect);
    }
    detail.draw();
}

const keys = [['Enter', 'send; Shift+Enter begins a line'], ['\u2190 \u2192', 'in the text: from token to token'], ['[ ]', 'tint by the layer before, the next one'],
    ['/', 'find a word on the map'], ['+ \u2212 0', 'on the map: nearer, farther, all of it'], ['Space', 'play and pause'], ['n', 'start anew'], ['t', 'light or dark'], ['Esc', 'stop the answer, or close what is open'], ['?', 'this list']];
$('keys').append(...keys.flatMap(([key, what]) => [el('dt', '', key), el('dd', '', what)]));
const help = () => { $('look').open = false; $('help').showModal(); };
$('help-open').addEventListener('click', help);
$('fresh').addEventListener('click', () => { api.stop(); clear_run(); $('say').focus(); });

function escape() {
    const menu = document.querySelector('.menu[open]');
    if (menu)
        menu.open = false;
    else if (document.body.hasAttribute('data-busy'))
        api.stop();
    else
        unpick();
}
document.addEventListener('keydown', event => {
    if (event.key === 'Escape' && !document.querySelector('dialog[open]'))
        return escape();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog') || (event.key === ' ' && event.target.closest('button, summary')))
        return;
    const act = {'/': () => { tab('live'); $('find').focus(); }, '[': () => set_layer(run.layer - 1), ']': () => set_layer(run.layer + 1), ' ': timeline.play,
        '?': help, n: () => $('fresh').click(), t: () => { $('theme').value = colour.is_dark() ? 'light' : 'dark'; $('theme').dispatchEvent(new Event('change')); }}[event.key];
    if (act) {
        event.preventDefault();
        act();
    }
});
document.addEventListener('click', event => document.querySelectorAll('.menu[open]').forEach(menu => {
    if (!menu.contains(event.target))
        menu.open = false;
}));

function tab(name) {
    document.body.dataset.tab = name;
    document.querySelectorAll('.tabs button').forEach(node => node.setAttribute('aria-pressed', node.dataset.tab === name));
    detail.draw();
}
document.querySelectorAll('.tabs button').forEach(node => node.addEventListener('click', () => tab(node.dataset.tab)));
tab('talk');

// A page that was saved shows what it holds; '#demo' shows a made-up run; any other asks its server.
set_look();
const asked_demo = location.hash.match(/^#demo(?:=(\d{1,3})x(\d{1,4}))?$/), saved = save.recorded();
if (saved || asked_demo) {
    $('composer').hidden = $('fresh').hidden = true;
    if (saved)
        save.open(saved);
    else {
        set_model(demo.model(clamp(+(asked_demo[1] ?? 12), 1, 128), clamp(+(asked_demo[2] ?? 64), 1, 4096)));
        demo.fill(1);
        banner('This run is made up: it shows what the page does, not what a model does.');
    }
} else
    connect();
document.documentElement.dataset.ready = 'yes';
