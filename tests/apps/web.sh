#!/bin/sh
# The page of 'parvin serve' in headless Chromium, without a server: its made-up run, and a page that holds what it shows.
# tests/web/drive.mjs tests more, with a server, where node and playwright-core are. 'KEEP=FOLDER web.sh' keeps screenshots.
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/apps/browser.sh
. "$(dirname "$0")/browser.sh"
: "${PAGE:?}"
: >err

# As it is served: its policy lets its own script and style work, and nothing comes on the console.
cp "$PAGE" served.html
[ "$(grep -cE '(src|href)="?(https?:)?//' served.html)" = 0 ] || wrong 'it refers to something outside'
[ "$(wc -c <served.html)" -lt 250000 ] || wrong 'the page is larger than 250 kB'
browse 'served.html#demo=36x1024' --dump-dom --window-size=1280,800
[ ! -s console ] || { wrong 'the page says something on the console'; cat console; }
expect_in dom 'data-ready="yes"' '36 layers of 2,048 neurons' '1,024 clusters a layer'
browse served.html --dump-dom # no server: it says so and goes on
expect_in dom 'There is no server here'
# What the policy does not name does not run.
{ sed '$d' served.html && echo '<script>document.title="taken"</script></html>'; } >evil.html
browse 'evil.html#demo' --dump-dom
expect_in console 'Content Security Policy'
grep -q '<title>taken' dom && wrong 'a foreign script ran'

# The same without its policy, so that a script can use it, and with frames that come in the browser's virtual time.
sed 's#<meta http-equiv="Content-Security-Policy"[^>]*>#<script>requestAnimationFrame=f=>setTimeout(f,16)</script>#' "$PAGE" >whole.html
{ sed '$d' whole.html | sed '$d' && echo '</body></html>'; } >page.html
tools='const all=s=>[...document.querySelectorAll(s)],one=s=>document.querySelector(s),later=f=>setTimeout(f,400),
text=s=>one(s).textContent,press=(s,k)=>one(s).dispatchEvent(new KeyboardEvent("keydown",{key:k,bubbles:true})),
put=(s,v,e)=>{one(s).value=v;one(s).dispatchEvent(new Event(e,{bubbles:true}))};'
# A token is picked, the tint changes, a step leads to a cluster whose places lead to tokens, the timeline dims what is later.
answer=$(asked "$tools"'const out=[all(".t").length>200,all(".turn").length,document.documentElement.scrollWidth<=innerWidth];
all(".t")[40].click();later(()=>{out.push(all(".t.on").length,all(".steps tbody tr").length,text(".detail .name"));
put("#layer","3","change");out.push(getComputedStyle(all(".t")[40]).backgroundColor!="rgba(0, 0, 0, 0)");
put("#layer","-1","change");out.push(getComputedStyle(all(".t")[40]).backgroundImage.startsWith("linear-gradient"));
all(".steps tbody tr")[2].click();later(()=>{out.push(text(".detail .name").includes("Layer 2"),all(".places li").length>0,
all(".t.mate").length==all(".places li").length);all(".places button")[0].click();later(()=>{out.push(all(".t.on").length);
put("#scrub","9","input");later(()=>{out.push(all(".t.later").length==all(".t").length-10,text("#at").startsWith("10 of"),
one("#live").hidden);document.title=out.join(" ")})})})})' demo=12x64 --window-size=1280,900)
expect_answer "$answer" 'true 2 true 1 12 “never” true true true true true 1 true true false'
# A word is found and gone to, the map zooms and shows its small map, keys do the same; tiles have numbers.
answer=$(asked "$tools"'const out=[];put("#find","lamp","input");later(()=>{out.push(/^[0-9,]+ clusters$/.test(text("#found")));
press("#find","Enter");later(()=>{out.push(text("#found").startsWith("1 of "),one("#mini").hidden,text(".detail .name").includes("cluster"));
press("#map","0");later(()=>{out.push(one("#mini").hidden);press("#map","+");later(()=>{out.push(one("#mini").hidden);put("#order","use","change");
put("#find","no such word","input");press(".scroll","Escape");later(()=>{out.push(text("#found"),+text("#tile-ms")>0,+text("#tile-mean")>10,+text("#tile-mean")<40);
document.title=out.join(" ")})})})})})' demo=80x4096 --window-size=1280,900)
expect_answer "$answer" 'true true false true true false no cluster true true true'
# Narrow: one part at a time; a picked token opens a card over the text.
answer=$(asked "$tools"'const shown=s=>one(s).offsetWidth>0,out=[innerWidth<600,document.documentElement.scrollWidth<=innerWidth,shown("#prose"),shown("#map")];
all(".t")[3].click();later(()=>{out.push(shown("#detail"),one("#detail").getBoundingClientRect().top<innerHeight);one(".close").click();later(()=>{
out.push(shown("#detail"));one(".tabs [data-tab=live]").click();later(()=>{out.push(shown("#prose"),shown("#map"),
document.documentElement.scrollWidth<=innerWidth);document.title=out.join(" ")})})})' demo=36x1024 --window-size=520,900)
expect_answer "$answer" 'true true true false true true false false true true'

# A page that was saved shows what it holds, and a text that would like to be markup stays text.
evil='\\u003cimg src=x onerror=\\"document.title=1\\"\\u003e\\u003c/script\\u003e'
layers='[[1,5,2,0.5],[0,4,1,null]]'
sed 's#id="recorded">null<#id="recorded">{"model":{"name":"'"$evil"'","n_layers":2,"n_ff":16,"n_vocab":9,"ctx":64,"device":"'"$evil"'","modes":["dense","masked"],"clusters":{"k":2,"density":0.3,"words":[[["'"$evil"'"],["b"]],[["c"],["d"]]]}},"turns":[{"prompt":"'"$evil"'","lanes":[{"mode":"dense","text":"x","summary":{"tok_s":10}},{"mode":"masked","text":"y","summary":{"tok_s":20}}]}],"tokens":[[0,7,"'"$evil"'","'"$evil"'",1,5,[[-1,16,9,null],[-1,16,8,null]]],[1,8," same","'"$evil"'",1,5,'"$layers"']]}<#' page.html >kept.html
mv kept.html page.html
answer=$(asked "$tools"'all(".t")[1].click();later(()=>{document.title=[all("img").length,document.scripts.length,all(".t").length,all(".differs").length,
text("#model-name").includes("<img"),text(".said").includes("</scr"+"ipt>"),text(".verdict").includes("Different from the first token"),text(".verdict").includes("50 % of the time"),
all(".steps tbody tr").length,one("#composer").hidden].join(" ")})' '' --window-size=1280,900)
expect_answer "$answer" '0 4 2 2 true true true true 2 true'

# A trace is dropped on the page: the example of docs/trace.md with a third line that is cut, and a file that is none. The
# browser's virtual time does not wait for files, so what they hold is put in their place.
sed -n '/^{"format":"parvin-trace"/,/^{"i":0/p' "$SOURCE/docs/trace.md" >trace.jsonl
[ "$(wc -l <trace.jsonl)" = 2 ] || wrong 'docs/trace.md has no example of two lines'
sed '$d' whole.html | sed '$d' >page.html
echo '</html>' >>page.html
trace=$(tr '\n' '~' <trace.jsonl)
answer=$(asked "$tools"'const line=String.fromCharCode(10),trace=`'"$trace"'`.replaceAll("~",line),out=[];
const drop=(name,text,then)=>{Blob.prototype.text=()=>Promise.resolve(text);const d=new DataTransfer();d.items.add(new File([text],name));document.dispatchEvent(new DragEvent("drop",{dataTransfer:d,cancelable:true}));later(then)};
drop("no.txt","hello",()=>{out.push(text("#banner-text"));drop("cut.jsonl",trace+trace.split(line)[1].slice(0,40),()=>{
out.push(text("#model-name"),all(".t").length,text(".detail .name"),all(".steps tbody tr").length,text("#tile-now"),one("#composer").hidden);document.title=out.join(" ")})})' demo --window-size=1280,900)
expect_answer "$answer" 'no.txt is not a trace: line 1 is not JSON. tiny.gguf 1 “upon” 2 37.5 true'

if [ -n "${KEEP:-}" ]; then
	for size in 1440,900 820,1100 500,900; do
		browse 'served.html#demo' --screenshot="$KEEP/page-${size%,*}.png" --window-size="$size"
	done
fi
finish
