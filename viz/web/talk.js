// The message box: asks the server and puts what comes into the run. A model with a chat template gets messages; another
// one goes on with the text that stands there.
(() => {
    const say = $('say'), go = $('go');
    let story = false;

    const mode = () => document.querySelector('input[name=mode]:checked')?.value ?? 'dense';
    const optional = (name, value) => value === '' || Number.isNaN(+value) ? {} : {[name]: +value};
    function sampling(seed) {
        return {...optional('temperature', $('temperature').value), ...optional('top_p', $('top-p').value),
            ...optional('max_tokens', $('max-tokens').value), ...optional('seed', seed)};
    }
    // The latest turns that leave room for an answer, [prompt, answer], and whether that is not all of them. Of two lanes the
    // second stands in the conversation. What users wrote is taken for a token every three characters.
    function latest(prompt) {
        const cost = text => Math.ceil(text.length / 3) + (story ? 0 : 12), longest = +$('max-tokens').value || 0, said = [];
        let room = run.model.ctx ? run.model.ctx - Math.min(longest, run.model.ctx / 2) - cost(prompt) - 8 : Infinity;
        for (const turn of run.turns.filter(t => !t.failed).reverse()) {
            const lane = turn.lanes.at(-1), n = lane.last - lane.first;
            if (room < n + cost(turn.prompt)) {
                if (story && room > 8) // a part of a story is a story
                    said.unshift(['', run.tokens.slice(Math.max(lane.first, lane.last - Math.floor(room)), lane.last).map(t => t.shown).join('')]);
                return [said, true];
            }
            room -= n + cost(turn.prompt);
            said.unshift([turn.prompt, lane.text]);
        }
        return [said, false];
    }
    function request(prompt, turn) {
        const [said, cut] = latest(prompt);
        turn.cut = cut;
        if (story)
            return ['v1/completions', {prompt: said.flat().join('') + prompt}];
        const system = $('system').value.trim(), messages = system ? [{role: 'system', content: system}] : [];
        for (const [user, assistant] of said)
            messages.push({role: 'user', content: user}, {role: 'assistant', content: assistant});
        return ['v1/chat/completions', {messages: [...messages, {role: 'user', content: prompt}]}];
    }

    async function one(lane, turn, path, body) {
        lane.busy = true;
        lane.waiting = false;
        emit('busy', turn);
        try {
            lane.summary = await api.answer(path, body, lane.mode, (text, record, finish) => {
                lane.text += text;
                if (record || (text && !lane.traced)) // of a server without traces the text alone
                    add_token(lane, text, record ?? {});
                lane.traced ||= !!record;
                if (finish === 'length')
                    lane.stopped = 'length limit';
            });
        } catch (error) {
            if (error.name === 'AbortError')
                lane.stopped = 'stopped';
            else
                throw error;
        } finally {
            lane.busy = false;
        }
    }

    async function ask(prompt) {
        if (api.busy() || (!prompt.trim() && !(story && run.turns.length)))
            return;
        const both = mode() === 'both', modes = both ? ['dense', 'masked'] : [mode()];
        const seed = $('seed').value || (both ? String(Math.floor(Math.random() * 1e9)) : ''); // both lanes draw alike
        const turn = {prompt, story, lanes: modes.map(m => ({mode: m, first: -1, last: -1, text: '', waiting: true}))};
        const [path, body] = request(prompt, turn);
        timeline.stop();
        unpick();
        go_to(run.tokens.length - 1);
        run.follow = true;
        run.turns.push(turn);
        emit('turn', turn);
        working(true);
        for (const lane of turn.lanes) {
            try {
                await one(lane, turn, path, {model: run.model.name, ...body, ...sampling(seed)});
            } catch (error) {
                if (await is_story(error, turn))
                    return;
                fail(turn, lane, error);
                break;
            }
            if (lane.stopped === 'stopped')
                break;
        }
        turn.lanes.forEach(lane => { lane.waiting = false; });
        turn.failed = turn.lanes.at(-1).first < 0;
        emit('done', turn);
        working(false);
        $('spoken').textContent = turn.failed ? 'No answer' : 'Answer complete';
    }
    // A server whose model has no chat template says so; the page then asks for a continuation.
    async function is_story(error, turn) {
        if (story || error.status !== 400 || !/template/i.test(error.message + ' ' + error.code) || turn.lanes[0].first >= 0)
            return false;
        set_story(true);
        working(false);
        take_back(turn);
        await ask(turn.prompt);
        return true;
    }
    function take_back(turn) {
        run.turns.splice(run.turns.indexOf(turn), 1);
        emit('gone', turn);
    }
    function fail(turn, lane, error) {
        lane.error = error instanceof TypeError ? 'The server does not answer. Is it still running?' : error.message;
        lane.retry = () => {
            if (api.busy())
                return;
            if (lane.first < 0)
                take_back(turn);
            ask(turn.prompt);
        };
        if (error.status === 401)
            ask_key(lane.retry);
    }
    function working(busy) {
        go.textContent = busy ? 'Stop' : story && run.turns.length ? 'Go on' : 'Send';
        go.classList.toggle('stop', busy);
        document.body.toggleAttribute('data-busy', busy);
    }
    function set_story(is) {
        story = is;
        say.placeholder = is ? 'Begin a text; the model goes on with it' : 'Write a message';
        $('say-label').textContent = is ? 'Text' : 'Message';
        $('system-row').hidden = is;
        $('welcome-text').textContent = is ? 'Begin a text, and the model goes on. Every word of it shows which neurons it used.'
            : 'Write something. Every word of the answer shows which neurons it used.';
        $('welcome').querySelector('h2').textContent = is ? 'How does it begin?' : 'What will it think of?';
        const starts = is ? ['Once upon a time there was a fox who', 'The king had three daughters, and', 'A crow found a piece of cheese']
            : ['Tell me a short fable.', 'Explain tides to a child.', 'Write a haiku about winter.'];
        $('starters').replaceChildren(...starts.map(text => button(text, () => { say.value = text; ask_now(); })));
    }
    function ask_now() {
        const text = say.value;
        say.value = '';
        grow();
        ask(text);
    }
    function grow() {
        say.style.height = 'auto';
        say.style.height = say.scrollHeight + 2 + 'px';
    }

    $('composer').addEventListener('submit', event => {
        event.preventDefault();
        document.body.hasAttribute('data-busy') ? api.stop() : ask_now();
    });
    say.addEventListener('input', grow);
    say.addEventListener('keydown', event => {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            if (!document.body.hasAttribute('data-busy'))
                ask_now();
        }
    });
    on('model', () => {
        const has = m => run.model.modes.includes(m) && (m !== 'masked' || run.model.clusters), best = has('masked') ? 'masked' : 'dense';
        document.querySelectorAll('input[name=mode]').forEach(input => {
            input.disabled = input.value === 'both' ? !has('masked') || !has('dense') : !has(input.value);
            input.checked = input.value === best;
            input.parentNode.title = input.disabled ? 'Needs clusters: start the server with a cluster file' : input.parentNode.title;
        });
        $('max-tokens').value = run.model.ctx ? Math.min(200, run.model.ctx >> 1) : 200;
        set_story(!run.model.chat);
    });
    on('clear', () => working(false));
})();

function ask_key(then) {
    const box = $('key-ask');
    $('key').value = '';
    box.onclose = () => {
        if (box.returnValue !== 'yes' || !$('key').value)
            return;
        api.set_key($('key').value);
        then();
    };
    if (!box.open)
        box.showModal();
}
