// Drives the page in Chromium through Playwright, against the mock server or a real one:
//     npm install --prefix FOLDER playwright-core
//     NODE_PATH=FOLDER/node_modules node tests/web/drive.mjs build/viz/page.html [SCREENSHOTS] [http://127.0.0.1:8080/]
// Exit 0: all as expected. Environment: CHROMIUM, the browser (/usr/bin/chromium); PARVIN, which
// then reads the saved trace; ONLY, the name of one test.
import {createRequire} from 'node:module';
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {serve} from './mock.mjs';

const {chromium} = createRequire(import.meta.url)(process.env.PLAYWRIGHT ?? 'playwright-core');
const [page_file, shots, real] = process.argv.slice(2), work = fs.mkdtempSync(path.join(os.tmpdir(), 'page-'));
const browser = await chromium.launch({executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox']});
let failures = 0, current = '';
function same(what, got, wanted = true) {
    if (JSON.stringify(got) === JSON.stringify(wanted))
        return;
    failures++;
    console.log('FAILED: ' + current + ': ' + what + ': ' + JSON.stringify(got) + ' instead of ' + JSON.stringify(wanted));
}
if (shots)
    fs.mkdirSync(shots, {recursive: true});

async function open(options, {width = 1280, height = 800, scheme = 'light', url, expect_console = false} = {}) {
    const server = url ? {url, seen: [], close() {}} : await serve({page: page_file, pace: 1, ...options});
    const page = await browser.newPage({viewport: {width, height}, colorScheme: scheme, hasTouch: width < 900, acceptDownloads: true});
    page.on('pageerror', error => same('error', error.message, null));
    page.on('console', message => expect_console || same('console', message.text(), null));
    await page.goto(server.url);
    await page.waitForFunction(() => document.documentElement.dataset.ready && document.title !== 'Parvin');
    return Object.assign(page, {server, shot: name => shots && page.screenshot({path: path.join(shots, name + '.png')}), done: async () => { await page.close(); server.close(); }});
}
const count = (page, selector) => page.locator(selector).count();
const text = (page, selector) => page.locator(selector).first().textContent();
async function ask(page, words, mode, tokens = 60) {
    await page.click('#sampling > summary');
    await page.fill('#max-tokens', String(tokens));
    await page.keyboard.press('Escape');
    if (mode)
        await page.click(`input[value=${mode}] + span`);
    await page.fill('#say', words);
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => !document.body.hasAttribute('data-busy') && document.querySelector('.about')?.textContent, null, {timeout: 120000});
}
async function saved(page, id) {
    await page.click('#save > summary');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(id)]);
    const file = path.join(work, download.suggestedFilename());
    await download.saveAs(file);
    return file;
}
// Texts whose contrast is below WCAG's AA, on the ground they stand on.
const pale = page => page.evaluate(() => {
    const rgba = value => (value.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number), light = c => c.slice(0, 3).reduce((s, v, i) => s + [.2126, .7152, .0722][i] * ((v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4), 0);
    const found = [];
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(n => n.nodeType === 3 && n.data.trim()), style = getComputedStyle(node);
        if (!own || !node.checkVisibility({opacityProperty: true}) || node.closest('[disabled], .hidden, .skip, script, style, option, .later') || node.matches('input:disabled + span'))
            continue;
        let ground = node;
        while (ground && (rgba(getComputedStyle(ground).backgroundColor)[3] ?? 1) < 1)
            ground = ground.parentElement;
        const a = light(rgba(style.color)), b = light(rgba(getComputedStyle(ground ?? document.body).backgroundColor)), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5))
            found.push(node.tagName + '.' + node.className + ' ' + node.textContent.slice(0, 20) + ' ' + ratio.toFixed(2));
    }
    return found.slice(0, 5);
});
// Nothing is wider than the window, and no control is cut off at its side.
const fits = page => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth &&
    [...document.querySelectorAll('button, summary, select, input, textarea')].every(n => !n.checkVisibility() || n.getBoundingClientRect().right <= innerWidth));

const tests = {
    async conversation() {
        const page = await open({});
        same('starts masked', await page.isChecked('input[value=masked]'));
        await ask(page, 'Tell me something');
        same('tokens', await count(page, '.t'), 60);
        const sent = page.server.seen[0];
        same('request', [sent.path, sent.messages, sent.parvin, sent.max_tokens, sent.stream], ['/v1/chat/completions', [{role: 'user', content: 'Tell me something'}], {mode: 'masked', trace: true}, 60, true]);
        await ask(page, 'And more', 'dense', 20);
        same('second request', [page.server.seen[1].messages.length, page.server.seen[1].messages[1].role, page.server.seen[1].parvin.mode], [3, 'assistant', 'dense']);
        same('tokens of both', await count(page, '.t'), 80);
        await page.hover('.t >> nth=5');
        same('card', /Layer 6 . cluster \d+.*neurons/.test(await text(page, '#tip')));
        await page.click('.t >> nth=5');
        same('steps', await count(page, '.steps tbody tr'), 12);
        await page.shot('token');
        await page.click('.steps tbody tr >> nth=4');
        await page.waitForSelector('.places');
        same('cluster', (await text(page, '.detail .name')).includes('Layer 4'));
        await page.keyboard.press('Escape');
        await page.focus('#prose');
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('ArrowRight');
        same('keys in the text', await page.locator('.t.on').getAttribute('data-i'), '1');
        await page.keyboard.press(']');
        same('keys for the layer', await page.inputValue('#layer'), '7');
        await page.click('#fresh');
        same('anew', [await count(page, '.t'), await page.isVisible('#welcome')], [0, true]);
        await page.done();
    },
    async side_by_side() {
        const page = await open({}, {scheme: 'dark', width: 1440, height: 900});
        await ask(page, 'Both, please', 'both');
        await page.waitForSelector('.verdict');
        same('modes', page.server.seen.map(s => s.parvin.mode), ['dense', 'masked']);
        same('one seed', page.server.seen[0].seed === page.server.seen[1].seed && Number.isInteger(page.server.seen[0].seed));
        same('verdict', /The same for 1[5-9] tokens, then .* dense, .* masked\./.test(await text(page, '.verdict')));
        same('marks', await count(page, '.t.differs'), 2);
        await page.shot('both');
        await page.done();
    },
    async stopping() {
        const page = await open({pace: 30});
        await page.fill('#say', 'Long');
        await page.click('#go');
        await page.waitForSelector('.t >> nth=4');
        await page.click('#go');
        await page.waitForFunction(() => document.querySelector('.about')?.textContent.includes('stopped'));
        same('stopped early', await count(page, '.t') < 60);
        await page.done();
    },
    async story() {
        for (const options of [{chat: false}, {template: false}]) {
            const page = await open(options, {expect_console: true});
            await ask(page, 'Once upon a time');
            same('path', page.server.seen.at(-1).path, '/v1/completions');
            same('prompt', page.server.seen.at(-1).prompt, 'Once upon a time');
            same('one turn', await count(page, '.turn'), 1);
            await page.click('#go');
            await page.waitForFunction(() => document.querySelectorAll('.turn').length === 2 && !document.body.hasAttribute('data-busy'));
            same('it goes on', page.server.seen.at(-1).prompt.length > 100);
            await page.done();
        }
    },
    async long_texts() {
        for (const chat of [true, false]) {
            const page = await open({chat, ctx: 256});
            for (let i = 0; i < 4; i++)
                await ask(page, 'Go on with the tale', null, 100);
            const {messages, prompt} = page.server.seen[3];
            same('the oldest are left out', chat ? messages.length : prompt.split(/\s+/).length < 160 && prompt.endsWith('Go on with the tale'), chat ? 3 : true);
            same('it says so', (await page.locator('.about').last().textContent()).includes('older text left out'));
            await page.done();
        }
    },
    async trouble() {
        let page = await open({fail: 503}, {expect_console: true});
        await ask(page, 'Hello');
        same('refusal', (await text(page, '.about')).includes('all slots are busy'));
        await page.click('.about button');
        await page.waitForFunction(() => document.querySelectorAll('.turn').length === 1 && document.querySelector('.about.bad'));
        same('tried again', page.server.seen.length, 2);
        page.server.close();
        await page.click('.about button');
        await page.waitForFunction(() => document.querySelector('.about.bad')?.textContent.includes('does not answer'));
        await page.done();
        page = await browser.newPage();
        const server = await serve({page: page_file, key: 'sesame'});
        await page.goto(server.url);
        await page.fill('#key', 'sesame');
        await page.click('#key-form button[value=yes]');
        await page.waitForFunction(() => document.title.includes('mock-7b'));
        await page.close();
        server.close();
    },
    async no_clusters() {
        const page = await open({clusters: 0}, {scheme: 'dark'});
        same('masked is off', [await page.isDisabled('input[value=masked]'), await page.isChecked('input[value=dense]')], [true, true]);
        await ask(page, 'Hello');
        same('the map says why', (await text(page, '#map-empty')).includes('No clusters'));
        same('contrast', await pale(page), []);
        await page.shot('no-clusters');
        await page.done();
    },
    async own_words() {
        const page = await open({words: false});
        await ask(page, 'Hello', 'masked', 40);
        await page.click('.t >> nth=5');
        same('words of this text', (await text(page, '.steps .words')).length > 0);
        await page.click('.steps tbody tr >> nth=0');
        await page.waitForSelector('.places');
        same('said to be', (await text(page, '#detail')).includes('Its words here'));
        await page.done();
    },
    async map_and_time() {
        const page = await open({layers: 80, clusters: 4096, pace: 0});
        await ask(page, 'Hello', 'masked', 300);
        await page.mouse.move(900, 330);
        for (let i = 0; i < 6; i++)
            await page.mouse.wheel(0, -120);
        await page.waitForSelector('#mini:not([hidden])');
        await page.shot('zoomed');
        await page.fill('#find', 'king');
        await page.press('#find', 'Enter');
        await page.waitForFunction(() => document.querySelector('#found').textContent.startsWith('1 of'));
        await page.selectOption('#order', 'use');
        await page.selectOption('#half-life', '0');
        await page.click('#zoom-fit');
        await page.waitForSelector('#mini', {state: 'hidden'});
        const strip = await page.locator('#scrub').boundingBox();
        await page.mouse.click(strip.x + strip.width / 2, strip.y + strip.height / 2);
        await page.waitForFunction(() => document.querySelectorAll('.t.later').length > 100);
        same('half way', /^15[01] of 300$/.test(await text(page, '#at')));
        await page.click('#play');
        await page.waitForFunction(() => parseInt(document.querySelector('#at').textContent, 10) > 155);
        await page.click('#live');
        await page.waitForFunction(() => document.querySelectorAll('.t.later').length === 0);
        await page.shot('by-use');
        await page.done();
    },
    async saving() {
        const page = await open({});
        await ask(page, 'Hello', 'both', 30);
        const trace = fs.readFileSync(await saved(page, '#save-trace'), 'utf8').trimEnd().split('\n').map(l => JSON.parse(l));
        const read = await open({});
        await read.setInputFiles('#open-file', path.join(work, fs.readdirSync(work).find(f => f.endsWith('.jsonl'))));
        await read.waitForFunction(() => document.querySelectorAll('.t').length === 60);
        same('opened', [(await text(read, '#banner-text')).includes('recorded earlier'), await read.isVisible('#composer')], [true, false]);
        await read.done();
        same('trace', [trace.length, trace[0].format, trace[0].fingerprint, trace[0].n_clusters, trace[1].cluster[0], trace[31].cluster.length, trace[31].i], [61, 'parvin-trace', '00c0ffee00c0ffee', 64, null, 12, 30]);
        if (process.env.PARVIN)
            execFileSync(process.env.PARVIN, ['heatmap', path.join(work, fs.readdirSync(work).find(f => f.endsWith('.jsonl'))), '-q', '-o', path.join(work, 'heat.png')]);
        const png = fs.readFileSync(await saved(page, '#save-png'));
        same('picture', [png.subarray(1, 4).toString(), png.readUInt32BE(16) > 500], ['PNG', true]);
        const file = await saved(page, '#save-page'), before = await text(page, '#prose'), alone = await browser.newPage();
        alone.on('pageerror', error => same('error', error.message, null));
        alone.on('console', message => same('console', message.text(), null));
        await alone.goto('file://' + file);
        same('the page alone', [await text(alone, '#prose') === before, await count(alone, '.t'), await count(alone, '.t.differs'), await alone.isVisible('#composer')], [true, 60, 2, false]);
        const again = path.join(work, 'again.html');
        await alone.click('#save > summary');
        const [download] = await Promise.all([alone.waitForEvent('download'), alone.click('#save-page')]);
        await download.saveAs(again);
        same('saved again, it is the same', fs.readFileSync(again, 'utf8') === fs.readFileSync(file, 'utf8'));
        await alone.close();
        await page.done();
    },
    async widths() {
        for (const scheme of ['light', 'dark'])
            for (const [width, height] of [[1440, 900], [820, 1100], [390, 844], [320, 640]]) {
                const page = await open({layers: 36, clusters: 1024, pace: 0}, {width, height, scheme});
                await ask(page, 'A message that is long enough to be cut into lines on a narrow screen', null, 120);
                same(width + ' fits', await fits(page));
                same(width + ' ' + scheme + ' contrast', await pale(page), []);
                await page.shot(`${width}-${scheme}`);
                if (width < 900) {
                    await page.tap('.t >> nth=30');
                    await page.waitForSelector('body[data-sheet]');
                    await page.shot(`${width}-${scheme}-token`);
                    same(width + ' ' + scheme + ' contrast of the card', await pale(page), []);
                    await page.tap('.close');
                    await page.tap('.tabs [data-tab=live]');
                    same(width + ' clusters fit', await fits(page));
                    await page.waitForTimeout(100);
                    await page.shot(`${width}-${scheme}-clusters`);
                } else {
                    await page.selectOption('#layer', '-1');
                    await page.shot(`${width}-${scheme}-all`);
                }
                await page.done();
            }
    },
    // What a frame costs while text comes in and the map is zoomed: the page's own work, without the browser's.
    async frames() {
        const page = await open({layers: 36, clusters: 1024, pace: 4}, {width: 1440, height: 900});
        await page.evaluate(() => {
            const ask = window.requestAnimationFrame.bind(window);
            window.cost = [];
            window.requestAnimationFrame = draw => ask(time => { const start = performance.now(); draw(time); window.cost.push(performance.now() - start); });
        });
        const asked = ask(page, 'Go on', 'masked', 600);
        for (let i = 0; i < 12; i++) {
            await page.mouse.move(800 + 20 * i, 300);
            await page.mouse.wheel(0, -40);
            await page.waitForTimeout(150);
        }
        await asked;
        const cost = (await page.evaluate(() => window.cost)).sort((a, b) => a - b);
        console.log('frames: ' + cost.length + ' drawn, ' + cost[cost.length >> 1].toFixed(1) + ' ms each in the middle, ' + cost[Math.floor(cost.length * .95)].toFixed(1) + ' ms at 95 %');
        await page.done();
    },
};
const real_tests = {
    async real() {
        const page = await open({}, {url: real, height: 760, scheme: 'dark'});
        await page.click('#sampling > summary');
        await page.fill('#seed', '5');
        await page.keyboard.press('Escape');
        await ask(page, 'There was once a poor miller who had', 'masked', 170);
        same('tokens', await count(page, '.t') > 20);
        await page.selectOption('#order', 'alike');
        await page.selectOption('#half-life', '64');
        await page.click('.t >> nth=24');
        await page.mouse.move(5, 5);
        await page.waitForTimeout(700);
        await page.shot('page');
        await ask(page, ' The fox said', 'both', 60);
        await page.waitForSelector('.verdict');
        await page.shot('page-both');
        console.log(await text(page, '.verdict'));
        await page.done();
    },
};
for (const [name, run] of Object.entries(real ? real_tests : tests).filter(([name]) => !process.env.ONLY || name === process.env.ONLY)) {
    current = name;
    try {
        await run();
    } catch (error) {
        same('went wrong', error.message.split('\n')[0] + ' ' + (error.stack.match(/drive.mjs:\d+/g) ?? ['']).at(0), null);
    }
}
await browser.close();
fs.rmSync(work, {recursive: true});
console.log(failures ? failures + ' failures' : 'all as expected');
process.exit(failures ? 1 : 0);
