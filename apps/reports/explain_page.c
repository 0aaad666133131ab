/* HTML, written front to back. Whatever comes from the model or the text is escaped; pictures are data: URIs,
 * so that their ids cannot meet. */
#include "reports/explain_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "viz/parts.h"
#include "viz/picture/picture.h"
#include "viz/picture/text.h"

enum { BEFORE = 8, AFTER = 4, NEIGHBOURS = 4 };
/* Rows that are told at length; of those picked less often there is less to tell. */
enum { FULL_ROWS = 128, STORY_LAYERS = 5 };

static const char style[] =
    ":root{color-scheme:dark;--bg:#0d101c;--panel:#161a2a;--line:#3a425e;--faint:#8c95b0;"
    "--text:#cdd4e6;--strong:#f5f7ff;--accent:#ffcd5c;--bar:#56b4e9}"
    ":root.light{color-scheme:light;--bg:#fff;--panel:#f6f7fa;--line:#c6ccd8;--faint:#687082;"
    "--text:#343a4a;--strong:#0e121e;--accent:#b25800;--bar:#0072b2}"
    "body{background:var(--bg);color:var(--text);font:15px/1.55 'DejaVu Sans',system-ui,sans-serif;"
    "margin:0 auto;max-width:1200px;padding:24px}h1,h2{color:var(--strong);line-height:1.25;"
    "overflow-wrap:anywhere}h2{margin-top:2.2em}p{max-width:80ch}.pic{overflow-x:auto;"
    "margin:16px 0;border:1px solid var(--line);border-radius:6px}"
    ".pic img{display:block;width:100%;height:auto}table{border-collapse:collapse;width:100%;"
    "font-size:13px}th{text-align:left;color:var(--faint);font-weight:normal}"
    "th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}"
    "td:first-child{border-left:6px solid var(--c)}th:first-child{"
    "border-left:6px solid transparent}.n{text-align:right;white-space:nowrap}"
    ".bar{display:block;height:5px;background:var(--bar);border-radius:2px;margin-left:auto}"
    ".alike{width:8.5em}.tokens{width:30%}.tok{display:inline-block;background:var(--panel);"
    "border:1px solid var(--line);border-radius:4px;padding:0 5px;margin:1px;color:var(--strong)}"
    ".tok small{color:var(--faint)}.ctx{color:var(--faint);display:block}"
    "mark{background:none;color:var(--accent);font-weight:bold}a{color:var(--bar)}"
    ".story ol{list-style:none;counter-reset:s;padding:0;max-width:80ch}"
    ".story li{counter-increment:s;position:relative;margin:0 0 10px;padding:10px 14px 10px 52px;background:var(--panel);"
    "border-left:6px solid var(--c,var(--line));border-radius:4px}"
    ".story li::before{content:counter(s);position:absolute;left:16px;top:8px;font-size:1.35em;font-weight:bold;"
    "color:var(--accent)}.story .ctx{display:inline;color:var(--text)}"
    "summary{cursor:pointer;color:var(--strong);font-size:1.15em;margin:12px 0}"
    "input{background:var(--panel);color:var(--text);border:1px solid var(--line);"
    "border-radius:4px;padding:6px 10px;font:inherit;width:22em;max-width:100%;"
    "box-sizing:border-box}@media(max-width:760px){body{padding:14px}"
    ".pic img{width:900px}thead{display:none}table,tbody{display:block}"
    "tr:not([hidden]){display:grid;grid-template-columns:repeat(3,auto);"
    "border:1px solid var(--line);border-left:6px solid var(--c);border-radius:4px;margin:10px 0;"
    "padding:6px 10px}td,td:first-child{border:0;padding:3px 0;width:auto}"
    "td.n{text-align:left}.bar{margin-left:0}.alike,.tokens,.in{grid-column:1/-1;width:auto}"
    "td::before{content:attr(data-is);color:var(--faint);display:block;font-size:12px}}";

/* A layer's part stands in a template until it is opened. Finding a word needs them all, and shows the rows that have it;
 * a link to a cluster opens its layer. */
static const char script[] =
    "const layers=[...document.querySelectorAll('details')];"
    "const fill=d=>{const t=d.querySelector('template');if(t)t.replaceWith(t.content)};"
    "for(const d of layers){if(d.open)fill(d);d.addEventListener('toggle',()=>{if(d.open)fill(d)})}"
    "const f=document.getElementById('find');"
    "f.addEventListener('input',()=>{const w=f.value.trim().toLowerCase();if(w)layers.forEach(fill);"
    "for(const d of layers){let n=0;"
    "for(const r of d.querySelectorAll('tbody tr')){"
    "const s=!w||r.textContent.toLowerCase().includes(w);r.hidden=!s;n+=s}"
    "if(w)d.open=n>0}});"
    "const go=()=>{const l=location.hash.match(/^#l(\\d+)c/);if(l&&layers[l[1]])fill(layers[l[1]]);"
    "const r=document.getElementById(location.hash.slice(1));"
    "if(r){const d=r.closest('details');if(d)d.open=true;r.scrollIntoView({block:'center'})}};"
    "addEventListener('hashchange',go);go();";

static void put_escaped(FILE *f, const char *text)
{
    for (const char *end = text + strlen(text); text < end;) {
        uint32_t code = 0;
        const size_t n = pv_text_char(text, (size_t)(end - text), &code);
        const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        const char *entity = *text == '&'        ? "&amp;"
                             : *text == '<'      ? "&lt;"
                             : *text == '>'      ? "&gt;"
                             : *text == '"'      ? "&quot;"
                             : n == 0 || control ? "\xef\xbf\xbd"
                                                 : NULL;
        if (entity)
            fputs(entity, f);
        else
            fwrite(text, 1, n, f);
        text += n ? n : 1;
    }
}

static void put_base64(FILE *f, const char *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *u = (const unsigned char *)data;
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t left = n - i < 3 ? (uint32_t)(n - i) : 3;
        const uint32_t word =
            (uint32_t)u[i] << 16 | (left > 1 ? (uint32_t)u[i + 1] << 8 : 0) | (left > 2 ? u[i + 2] : 0u);
        fputc(digits[word >> 18], f);
        fputc(digits[word >> 12 & 63], f);
        fputc(left > 1 ? digits[word >> 6 & 63] : '=', f);
        fputc(left > 2 ? digits[word & 63] : '=', f);
    }
}

static enum pv_status put_picture(struct app *app, FILE *f, const struct explain_page *page,
                                  enum pv_picture_kind kind, uint32_t layer, const char *alt)
{
    const bool svg = kind != PV_PICTURE_NEURONS; /* thousands of cells are smaller as pixels */
    const struct pv_picture_params params = {.kind = kind,
                                             .palette = page->palette,
                                             .light = page->light,
                                             .layer = layer,
                                             .n_rows = kind == PV_PICTURE_WATERFALL ? 40 : 0,
                                             .scale = 1,
                                             .masks = page->observed->masks};
    struct pv_log log = console_log(&app->console);
    char *data;
    size_t n;
    const enum pv_status status = pv_picture_bytes(page->observed->heat, &params, svg, &log, &data, &n);
    if (status)
        return status;
    fprintf(f, "<div class=\"pic\"><img alt=\"%s\" src=\"data:image/%s;base64,", alt,
            svg ? "svg+xml" : "png");
    put_base64(f, data, n);
    fputs("\"></div>\n", f);
    free(data);
    return PV_OK;
}

static void put_tokens(FILE *f, const struct explain_page *page, uint32_t layer, uint32_t cluster,
                       uint32_t most)
{
    struct pv_heat_top tops[12];
    const uint32_t n = pv_telling_tokens(page->observed->heat, layer, cluster, tops, most < 12 ? most : 12);
    for (uint32_t i = 0; i < n; i++) {
        fprintf(f,
                "<span class=\"tok\" title=\"picks this cluster %" PRIu64 " of the %" PRIu64
                " times it comes\">",
                tops[i].count, tops[i].count_all);
        put_escaped(f, tops[i].text);
        fprintf(f, " <small>\xc3\x97%" PRIu64 "</small></span> ", tops[i].count);
    }
}

/* A token inside running text: spaces as they are, line ends as spaces. */
static void put_running(FILE *f, const struct explain_page *page, uint64_t position)
{
    const char *bytes = NULL;
    const size_t n =
        pv_token_bytes(page->observed->setup.model, page->observed->tokens[position], true, &bytes);
    char shown[PV_HEAT_TEXT];
    if (n > 0 && (bytes[0] == ' ' || bytes[0] == '\n'))
        fputc(' ', f);
    pv_text_display(bytes ? bytes : "", n, shown, sizeof shown);
    put_escaped(f, shown);
}

static void put_context(FILE *f, const struct explain_page *page, uint64_t position)
{
    const uint64_t n = page->observed->n_seen, first = position > BEFORE ? position - BEFORE : 0;
    const uint64_t end = position + AFTER + 1 < n ? position + AFTER + 1 : n;
    fputs("<span class=\"ctx\">\xe2\x80\xa6", f);
    for (uint64_t i = first; i < end; i++) {
        fputs(i == position ? "<mark>" : "", f);
        put_running(f, page, i);
        fputs(i == position ? "</mark>" : "", f);
    }
    fputs("\xe2\x80\xa6</span>", f);
}

static void put_neighbours(FILE *f, const struct explain_page *page, uint32_t layer, uint32_t cluster)
{
    const struct pv_maskset *masks = page->observed->masks;
    uint32_t best[NEIGHBOURS] = {0}, n = 0;
    double score[NEIGHBOURS] = {0};
    for (uint32_t k = 0; k < pv_maskset_n_clusters(masks); k++) {
        const bool told = k != cluster && pv_heat_uses(page->observed->heat, layer, k) > 0;
        const double s = told ? pv_maskset_jaccard(masks, layer, cluster, k) : 0;
        uint32_t at = n;
        if (s <= 0 || (n == NEIGHBOURS && s <= score[n - 1]))
            continue;
        if (n < NEIGHBOURS)
            n++;
        else
            at = n - 1;
        for (; at > 0 && score[at - 1] < s; at--) {
            score[at] = score[at - 1];
            best[at] = best[at - 1];
        }
        score[at] = s;
        best[at] = k;
    }
    for (uint32_t i = 0; i < n; i++)
        fprintf(f, "<a href=\"#l%uc%u\">%u</a> <small>%.0f&nbsp;%%</small> ", layer, best[i], best[i],
                100 * score[i]);
}

static void put_cluster(FILE *f, const struct explain_page *page, uint32_t layer, uint32_t cluster,
                        double most, bool in_full)
{
    const struct pv_heat *heat = page->observed->heat;
    const uint32_t n_clusters = pv_heat_header(heat)->n_clusters;
    const struct explain_spot *spots =
        page->spots + ((size_t)layer * n_clusters + cluster) * EXPLAIN_CONTEXTS;
    const double share = (double)pv_heat_uses(heat, layer, cluster) / (double)pv_heat_n_tokens(heat);
    char percent[16];
    const struct pv_rgb c = pv_cluster_colour(heat, page->light, layer, cluster);
    fprintf(f,
            "<tr id=\"l%uc%u\" style=\"--c:#%02x%02x%02x\"><td class=\"n\" data-is=\"cluster\">%u</td>"
            "<td class=\"n\" data-is=\"picked by\">%s<span class=\"bar\" style=\"width:%.0fpx\"></span></td>"
            "<td class=\"n\" data-is=\"neurons\">%u</td><td class=\"alike\" data-is=\"most alike\">",
            layer, cluster, c.r, c.g, c.b, cluster, pv_percent(share, percent, sizeof percent),
            70 * share / most, pv_maskset_size(page->observed->masks, layer, cluster));
    put_neighbours(f, page, layer, cluster);
    fputs("</td><td class=\"tokens\" data-is=\"tokens that pick it\">", f);
    put_tokens(f, page, layer, cluster, in_full ? 12 : 6);
    fputs("</td><td class=\"in\" data-is=\"in context\">", f);
    for (uint32_t i = 0; i < (in_full ? EXPLAIN_CONTEXTS : 1u); i++)
        if (spots[i].position != UINT64_MAX)
            put_context(f, page, spots[i].position);
    fputs("</td></tr>\n", f);
}

static enum pv_status put_layer(struct app *app, FILE *f, const struct explain_page *page, uint32_t layer)
{
    const struct pv_heat *heat = page->observed->heat;
    uint32_t n_clusters = pv_heat_header(heat)->n_clusters, n_used;
    uint32_t *clusters = calloc(n_clusters + 1, sizeof *clusters);
    char density[16];
    enum pv_status status;
    if (!clusters)
        return PV_ERR_NOMEM;
    n_used = pv_by_use(heat, layer, clusters);
    fprintf(f, "<details%s><summary>Layer %u: %u of %u clusters used, %s of its neurons computed</summary>\n",
            layer == 0 ? " open" : "", layer, n_used, n_clusters,
            pv_percent(pv_heat_density(heat, layer), density, sizeof density));
    fputs("<template>\n", f);
    fprintf(f,
            "<p>Of the neurons computed %.0f&nbsp;%% were truly active (precision); of the truly active ones "
            "%.0f&nbsp;"
            "%% were computed (recall), and these carry %.1f&nbsp;%% of the layer's energy.</p>\n",
            100 * page->precision[layer], 100 * page->recall[layer], 100 * page->energy[layer]);
    status = put_picture(app, f, page, PV_PICTURE_NEURONS, layer,
                         "the neurons that each cluster of this layer holds");
    fputs("<table><thead><tr><th class=\"n\">cluster</th><th class=\"n\">picked by</th>"
          "<th class=\"n\">neurons</th><th>most alike</th><th>tokens that pick it</th><th>in context</th>"
          "</tr></thead><tbody>\n",
          f);
    for (uint32_t i = 0; !status && i < n_used; i++)
        put_cluster(f, page, layer, clusters[i],
                    (double)pv_heat_uses(heat, layer, clusters[0]) / (double)pv_heat_n_tokens(heat),
                    i < FULL_ROWS);
    fputs("</tbody></table>\n", f);
    if (n_used < n_clusters)
        fprintf(f, "<p>And %u clusters that no token of this text picked.</p>\n", n_clusters - n_used);
    fputs("</template></details>\n", f);
    free(clusters);
    return status;
}

/* How well a token's way can be told: it is a word, and in most layers its cluster is for other words too. */
static uint32_t tale_of(const struct explain_page *page, const struct pv_heat_row *row)
{
    const struct pv_heat *heat = page->observed->heat;
    uint32_t score = 1;
    if (row->joined || strlen(row->text) < 4 || row->text[0] < 'a' || row->text[0] > 'z' ||
        row->index < BEFORE || row->index + 1 >= page->observed->n_seen)
        return 0;
    for (uint32_t l = 0; l < pv_heat_header(heat)->n_layers; l++) {
        struct pv_heat_top tops[6];
        const uint32_t n = row->cluster[l] < pv_heat_header(heat)->n_clusters
                               ? pv_telling_tokens(heat, l, row->cluster[l], tops, 6)
                               : 0;
        bool itself = false;
        for (uint32_t i = 0; i < n; i++)
            itself = itself || !strcmp(tops[i].text, row->text);
        score += n > 1 ? 1 + itself : 0;
    }
    return score;
}

static const struct pv_heat_row *find_tale(const struct explain_page *page)
{
    const struct pv_heat *heat = page->observed->heat;
    const uint32_t kept = pv_heat_n_recent(heat);
    const struct pv_heat_row *best = NULL;
    uint32_t most = 0;
    for (uint32_t back = 0; back < kept; back++) {
        const struct pv_heat_row *row = pv_heat_recent(heat, back);
        const uint32_t score = tale_of(page, row);
        if (score > most) {
            most = score;
            best = row;
        }
    }
    return best;
}

/* A step in a layer: which cluster, for which words, and at which cost. */
static void tell_layer(FILE *f, const struct explain_page *page, const struct pv_heat_row *row,
                       uint32_t layer, bool first)
{
    const struct pv_heat *heat = page->observed->heat;
    const uint32_t cluster = row->cluster[layer];
    const struct pv_rgb c = pv_cluster_colour(heat, page->light, layer, cluster);
    fprintf(f, "<li style=\"--c:#%02x%02x%02x\">", c.r, c.g, c.b);
    if (first)
        fprintf(f, "In layer %u the router picks <a href=\"#l%uc%u\">cluster %u</a>", layer, layer, cluster,
                cluster);
    else
        fprintf(
            f,
            "Layer %u has clusters and a router of its own, which picks <a href=\"#l%uc%u\">cluster %u</a>",
            layer, layer, cluster, cluster);
    fprintf(f, " of %u neurons; the other %u are left alone. Tokens that pick it: ", row->n_neurons[layer],
            pv_heat_header(heat)->d_ffn - row->n_neurons[layer]);
    put_tokens(f, page, layer, cluster, 6);
    fputs("</li>\n", f);
}

static void tell_end(FILE *f, const struct explain_page *page, const struct pv_heat_row *row, uint32_t n_told)
{
    const struct pv_trace_header *h = pv_heat_header(page->observed->heat);
    double kept = 0;
    uint64_t n_active = 0, n_hit = 0;
    char share[16];
    for (uint32_t l = 0; l < h->n_layers; l++) {
        kept += row->energy_kept ? (double)row->energy_kept[l] / h->n_layers : 0;
        n_active += row->n_active ? row->n_active[l] : 0;
        n_hit += row->n_hit ? row->n_hit[l] : 0;
    }
    if (n_told < STORY_LAYERS)
        fprintf(f,
                "<li>Was the choice good? This page also computed all neurons, to compare. %" PRIu64
                " of them had anything to say about the token, and the clusters held %" PRIu64
                " of these, the ones that matter most.</li>\n",
                n_active, n_hit);
    fprintf(f, "<li>In all layers together %s of the neurons were computed",
            pv_percent(row->density, share, sizeof share));
    if (row->energy_kept)
        fprintf(f, ", and they carry %.0f&nbsp;%% of the effect that all of them would have had", 100 * kept);
    fputs(".</li>\n<li>After the last layer the numbers become a guess at the next token. In the text it is "
          "\xe2\x80\x9c",
          f);
    put_running(f, page, row->index + 1);
    fputs("\xe2\x80\x9d, and the same way begins again for that one.</li>\n", f);
}

static void put_story(FILE *f, const struct explain_page *page)
{
    const struct pv_trace_header *h = pv_heat_header(page->observed->heat);
    const uint32_t n = h->n_layers < STORY_LAYERS ? h->n_layers : STORY_LAYERS;
    const struct pv_heat_row *row = find_tale(page);
    if (!row)
        return;
    fputs(
        "<section class=\"story\"><h2>One token's way through the layers</h2>\n<ol>\n<li>A model reads text in "
        "tokens: words, pieces of words and signs. Follow one of them: ",
        f);
    put_context(f, page, row->index);
    fprintf(
        f,
        "</li>\n<li>Inside the model the token is a list of numbers, and so is what came before it. Layer after "
        "layer, %u of them, adds something to that list.</li>\n",
        h->n_layers);
    fprintf(
        f,
        "<li>A layer has %u neurons. Each is a small detector: it looks at the numbers, and if they are what it is "
        "there for, it adds its part. For one token most find nothing, and still cost time. So a router looks "
        "first, and names one of %u groups of neurons, the clusters.</li>\n",
        h->d_ffn, h->n_clusters);
    for (uint32_t i = 0; i < n; i++)
        tell_layer(f, page, row, n > 1 ? (uint32_t)((uint64_t)i * (h->n_layers - 1) / (n - 1)) : 0, i == 0);
    tell_end(f, page, row, n);
    fputs("</ol></section>\n", f);
}

static void put_head(FILE *f, const struct explain_page *page)
{
    const struct pv_trace_header *h = pv_heat_header(page->observed->heat);
    fprintf(
        f,
        "<!DOCTYPE html>\n<html lang=\"en\"%s><head><meta charset=\"utf-8\">\n<meta "
        "name=\"generator\" content=\"Parvin\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
        "'unsafe-inline'; script-src 'unsafe-inline'\">\n<meta name=\"viewport\" "
        "content=\"width=device-width\">\n<title>What the clusters of ",
        page->light ? " class=\"light\"" : "");
    put_escaped(f, h->model);
    fprintf(f, " are for</title>\n<style>%s</style></head><body>\n<h1>What the clusters of ", style);
    put_escaped(f, h->model);
    fprintf(f,
            " are for</h1>\n<p>The model has %u layers of %u neurons. For any one token most neurons do "
            "nothing that "
            "matters, so Parvin computes only some: each layer's neurons are sorted into %u overlapping "
            "groups, the "
            "clusters, and a small router picks one cluster a layer for every token. This page shows what "
            "the clusters "
            "turned out to be for, on a text of %" PRIu64 " tokens (words, pieces of words and signs).</p>\n",
            h->n_layers, h->d_ffn, h->n_clusters, page->observed->n_seen);
}

static enum pv_status put_page(struct app *app, FILE *f, const struct explain_page *page)
{
    const uint32_t n_layers = pv_heat_header(page->observed->heat)->n_layers;
    enum pv_status status;
    put_head(f, page);
    put_story(f, page);
    status = put_picture(app, f, page, PV_PICTURE_LAYERS, UINT32_MAX,
                         "how often each cluster of each layer was picked");
    if (!status)
        status = put_picture(app, f, page, PV_PICTURE_WATERFALL, UINT32_MAX,
                             "the clusters of each token of a text");
    if (!status)
        status =
            put_picture(app, f, page, PV_PICTURE_TOKENS, UINT32_MAX, "the tokens that pick each cluster");
    fputs("<h2>Every layer's clusters</h2>\n<p>Most used first. <em>Most alike</em>: the clusters that share "
          "most "
          "neurons (shared neurons as part of both clusters' together). <em>In context</em>: where the "
          "router was "
          "surest.</p>\n<p><label>Find a word: <input id=\"find\" type=\"search\"></label></p>\n",
          f);
    for (uint32_t l = 0; !status && l < n_layers; l++)
        status = put_layer(app, f, page, l);
    fprintf(f, "<script>%s</script>\n</body></html>\n", script);
    return status;
}

enum pv_status explain_write(struct app *app, const struct explain_page *page, const char *path)
{
    struct output_file file;
    enum pv_status status = output_open(&app->console, path, &file), closed;
    if (status)
        return status;
    status = put_page(app, file.file, page);
    closed = output_close(&app->console, &file, status == PV_OK);
    return status ? status : closed;
}
