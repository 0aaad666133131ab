#!/bin/sh
# The page of 'parvin explain' in headless Chromium: it stands alone, holds what it should, its script works, nothing is said
# on the console, and it fits wide and narrow windows. 'KEEP=FOLDER page.sh' keeps the screenshots: look at them.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/apps/browser.sh
. "$(dirname "$0")/browser.sh"
clusters=$SOURCE/models/fables-5m.clusters.gguf
need_device

parvin explain "$MODEL" -c "$clusters" --tokens 1500 -o page.html
expect_code 0
expect_empty out
expect_files page.html
[ "$(tail -n 1 page.html)" = '</body></html>' ] || wrong 'the page has another end'
[ "$(grep -oE '(src|href)="[^"]{0,5}' page.html | grep -vE '^src="data:|^href="#' | head -n 1)" = '' ] || wrong 'it refers to something outside'
[ "$(wc -c <page.html)" -lt 6000000 ] || wrong 'the page is larger than 6 MB'

# What is there: a layer's part is made when it is opened; a story of ten steps; no link leads nowhere; pictures that load, a section a layer, tables with rows, neighbours that exist; no request leaves; it
# fits the window.
answer=$(asked "(async()=>{const all=s=>[...document.querySelectorAll(s)];
const before=all('tbody').length,title=document.title;layers.forEach(fill);
await Promise.all(all('img').map(i=>i.decode()));document.title=[
before,all('.story li').length,all('a').every(a=>document.getElementById(a.hash.slice(1))),
document.querySelector('h1').textContent==title,all('img').length,
all('img').every(i=>i.complete&&i.naturalWidth>=1200&&i.alt),all('details').length,all('details[open]').length,
all('details').every(d=>d.querySelectorAll('tbody tr').length>=20),
all('tbody tr').every(r=>r.cells.length==6&&r.cells[4].querySelector('.tok')&&r.cells[5].querySelector('mark')),
all('a').length>100,performance.getEntriesByType('resource').filter(e=>!e.name.startsWith('data:')).length,
document.scripts.length,document.documentElement.scrollWidth<=innerWidth].join(' ')})()" '' --window-size=1280,900)
expect_answer "$answer" '1 10 true true 7 true 4 1 true true true 0 2 true'

# In a narrow window: a link to a cluster opens its layer, finding a word leaves the rows that have it.
row=$(grep -o 'id="l2c[0-9]*"' page.html | head -n 1 | cut -d '"' -f 2)
answer=$(asked "const rows=[...document.querySelectorAll('tbody tr')],out=[];
const find=w=>{f.value=w;f.dispatchEvent(new Event('input'));
out.push(rows.some(t=>t.hidden),rows.some(t=>!t.hidden),rows.every(t=>t.hidden!=t.textContent.toLowerCase().includes(w)))};
out.push(innerWidth<600,document.documentElement.scrollWidth<=innerWidth,
document.getElementById('$row').closest('details').open,document.querySelectorAll('details[open]').length);
find('king');find('no such word');out.push(document.querySelectorAll('details[open]').length);
document.title=out.join(' ')" "$row" --window-size=520,900)
expect_answer "$answer" 'true true true 2 true true true true false true 0'

for theme in dark light; do
	[ $theme = dark ] || parvin explain "$MODEL" -c "$clusters" --tokens 1500 --light -o page.html
	browse page.html --screenshot="$theme.png" --window-size=1280,2400
	[ -s $theme.png ] || wrong 'no screenshot'
	[ -z "${KEEP:-}" ] || cp $theme.png "$KEEP/"
done
if command -v convert >/dev/null; then
	last='the screenshots'
	for theme in dark light; do
		[ "$(convert $theme.png -format %k info:)" -gt 200 ] || wrong "$theme: the page is nearly empty"
	done
	brightness=$(convert dark.png light.png -format '%[fx:mean>0.5] ' info:)
	expect_answer "$brightness" '0 1 '
fi

# A text that would like to be part of the page stays text; and these checks see what they should.
printf '%s\n' '<script>document.title="taken"</script><img src=x onerror=alert(1)> &amp; "quoted" </details>' >evil.txt
for _ in 1 2 3 4 5 6; do cat evil.txt evil.txt >evil.more && mv evil.more evil.txt; done
parvin explain "$MODEL" -c "$clusters" --text evil.txt --tokens 1500 -o page.html
answer=$(asked 'document.title+=" "+document.scripts.length+" "+document.images.length' '')
expect_answer "$answer" 'What the clusters of fables-5m-f16.gguf are for 2 4'
sed '$d' page.html >asked.html
echo '<img src="https://example.invalid/a.png"><script>oops()</script></body></html>' >>asked.html
browse asked.html --dump-dom
expect_in console 'Content Security Policy' 'oops is not defined'
finish
