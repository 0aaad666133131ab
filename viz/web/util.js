// Small helpers: elements, numbers, one place that says what changed, one frame that draws it.
const page_source = '<!DOCTYPE html>\n' + document.documentElement.outerHTML; // before anything is changed

const $ = id => document.getElementById(id);

// el('p', 'class', child...): an element. Children are nodes or text; text never becomes markup.
function el(tag, name, ...children) {
    const node = document.createElement(tag);
    if (name)
        node.className = name;
    node.append(...children);
    return node;
}

function button(text, action) {
    const node = el('button', '', text);
    node.type = 'button';
    node.addEventListener('click', action);
    return node;
}

const counted = new Intl.NumberFormat('en-US');
const number = n => counted.format(n);
const plural = (n, one, many = one + 's') => number(n) + ' ' + (n === 1 ? one : many);
const digits = x => x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
const percent = x => x >= 0.9995 ? '100' : (100 * x).toFixed(x < 0.0995 ? 2 : 1);
const clamp = (x, low, high) => x < low ? low : x > high ? high : x;
// A token's text where spaces and line ends alone would be invisible.
const visible = text => text.replace(/\n/g, '\u21b5').replace(/\t/g, '\u21e5').replace(/^ +$/, s => '\u2423'.repeat(s.length));

// The same as a name, without the space that most tokens begin with.
const called = text => '\u201c' + (visible(text).trim() || visible(text)) + '\u201d';

// What happened: 'model', 'token', 'turn', 'pick' (a token or a cluster), 'at' (the timeline), 'look' (colours), 'layer'.
const listeners = {};
const on = (names, heard) => names.split(' ').forEach(name => (listeners[name] ??= []).push(heard));
const emit = (name, what) => (listeners[name] ?? []).forEach(heard => heard(what));

// soon(draw): draw() once, in the next frame.
const waiting = new Set();
function soon(draw) {
    if (!waiting.size)
        requestAnimationFrame(() => {
            const now = [...waiting];
            waiting.clear();
            now.forEach(f => f());
        });
    waiting.add(draw);
}

// A canvas as many device pixels as it covers; its context draws in CSS pixels. Null while it is hidden.
function sized(canvas) {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = Math.min(window.devicePixelRatio || 1, 3);
    if (!width || !height)
        return null;
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
    }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return {context, width, height, ratio};
}

// A colour or font of the style sheet, remembered until the look changes.
const styles = new Map();
function css(name) {
    let value = styles.get(name);
    if (value === undefined)
        styles.set(name, value = getComputedStyle(document.documentElement).getPropertyValue(name).trim());
    return value;
}
const still = matchMedia('(prefers-reduced-motion: reduce)');
const kept = {
    get(key) { try { return localStorage.getItem('parvin.' + key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem('parvin.' + key, value); } catch { /* a page from a file may keep nothing */ } },
};
