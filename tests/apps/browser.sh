# Pages in headless Chromium, for scripts that have read lib.sh; skips them (77) where there is none.
# shellcheck shell=sh
browser=$(command -v chromium || command -v chromium-browser) || {
	echo 'skipped: there is no chromium'
	exit 77
}
# browse PAGE OPTION...: the DOM after the page's script is in 'dom', what came on the console in 'console'.
browse() {
	page=$1
	shift
	rm -rf profile
	# shellcheck disable=SC2034 # lib.sh reads it
	last="chromium $page"
	timeout 120 "$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --disable-extensions --disable-dev-shm-usage --hide-scrollbars \
		--host-resolver-rules='MAP * ~NOTFOUND' --enable-logging=stderr --virtual-time-budget=5000 \
		--user-data-dir="$PWD/profile" "$@" "file://$PWD/$page" >dom 2>browser.log || {
		wrong 'chromium failed'
		tail -n 5 browser.log
	}
	grep CONSOLE browser.log >console || :
}
# asked SCRIPT HASH OPTION...: what page.html, opened at '#HASH', says to a script that is put at its end, in the title.
asked() {
	{
		sed '$d' page.html
		echo "<script>$1</script></body></html>"
	} >asked.html
	hash=$2
	shift 2
	browse "asked.html#$hash" --dump-dom "$@"
	[ ! -s console ] || { wrong 'the page says something on the console'; cat console; }
	sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p' dom
}
expect_answer() { [ "$1" = "$2" ] || wrong "'$1' instead of '$2'"; }
