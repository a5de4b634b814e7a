/* The page of kith bench: recall against QPS, drawn as SVG in a page that needs nothing else.
 *
 * The vertical axis is the logarithm of CPU-time QPS. The horizontal one is stretched towards 1, where
 * the settings that matter crowd: x = -log10(1 - recall + 0.001). The picture and its values
 * are all in the page without the script, which only shows them nearer to the pointer. */
#include "bench.h"

#include <math.h>

#include "print.h"

enum { WIDTH = 860, HEIGHT = 480, LEFT = 70, RIGHT = 20, TOP = 34, BOTTOM = 50, N_COLOURS = 8 };

/* Data coordinates of the edges of the picture. */
typedef struct axes {
    double x_low, x_high, y_low, y_high;
} axes;

static double stretch(double recall) { return -log10(1.0 - fmin(recall, 1.0) + 0.001); }

static double place_x(const axes *a, double recall) {
    return LEFT + (stretch(recall) - a->x_low) / (a->x_high - a->x_low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const axes *a, double qps) {
    return HEIGHT - BOTTOM -
           (log10(qps) - a->y_low) / (a->y_high - a->y_low) * (HEIGHT - TOP - BOTTOM);
}

static axes find_axes(const bench_run *runs, size_t n_runs) {
    double recall = 0.9;
    double low = (double)INFINITY;
    double high = 1.0;
    for (size_t i = 0; i < n_runs; i++) {
        for (size_t j = 0; j < runs[i].n_points; j++) {
            recall = fmin(recall, runs[i].points[j].quality.recall_ties);
            low = fmin(low, runs[i].points[j].median.qps_cpu);
            high = fmax(high, runs[i].points[j].median.qps_cpu);
        }
    }
    axes a = {stretch(recall - 0.02), 3.0, log10(low) - 0.05, log10(high) + 0.05};
    if (a.x_low < 0) a.x_low = 0;
    if (a.y_high - a.y_low < 0.5) a.y_low -= 0.25, a.y_high += 0.25;
    return a;
}

static void put_text(const char *text, FILE *file) {
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", file);
        else if (*text == '&')
            fputs("&amp;", file);
        else if (*text == '"')
            fputs("&quot;", file);
        else
            putc(*text, file);
    }
}

/* ---- the picture ------------------------------------------------------------------------------------ */

static void put_grid(const axes *a, FILE *file) {
    static const char *const recalls[] = {"0.5",  "0.7",  "0.8",   "0.9",   "0.95",
                                          "0.98", "0.99", "0.995", "0.999", "1"};
    static const double values[] = {0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (stretch(values[i]) < a->x_low) continue;
        double x = place_x(a, values[i]);
        fprintf(
            file,
            "<line class=g x1=%.1f x2=%.1f y1=%d y2=%d /><text x=%.1f y=%d text-anchor=middle>%s</text>\n",
            x, x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 18, recalls[i]);
    }
    for (int power = (int)floor(a->y_low); power <= (int)a->y_high; power++) {
        for (int step = 1; step <= 5; step += step == 1 ? 1 : 3) {
            double qps = step * pow(10, power);
            if (log10(qps) < a->y_low || log10(qps) > a->y_high) continue;
            char text[32];
            fprintf(
                file,
                "<line class=g x1=%d x2=%d y1=%.1f y2=%.1f /><text x=%d y=%.1f text-anchor=end>%s</text>\n",
                LEFT, WIDTH - RIGHT, place_y(a, qps), place_y(a, qps), LEFT - 8,
                place_y(a, qps) + 4, print_number(text, qps, 3));
        }
    }
    fprintf(file, "<text x=%d y=%d text-anchor=middle>recall, to the right is better</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10);
    fprintf(file, "<text x=%d y=%d>queries a second of CPU time, up is better</text>\n", LEFT - 60,
            TOP - 12);
}

static void put_point(const axes *a, const bench_run *run, const bench_point *p, FILE *file) {
    char qps[32];
    fprintf(file, "<circle r=4 cx=%.1f cy=%.1f><title>", place_x(a, p->quality.recall_ties),
            place_y(a, p->median.qps_cpu));
    put_text(run->spec, file);
    if (run->setting) fprintf(file, ", %s %u", run->setting, p->effort);
    fprintf(file, "\nrecall %.4f", p->quality.recall_ties);
    if (!isnan(p->quality.recall_p5)) fprintf(file, " (5th percentile %.3f)", p->quality.recall_p5);
    fprintf(file, "\n%s queries/s", print_count(qps, p->median.qps_cpu));
    if (!isnan(p->median.latency.p50))
        fprintf(file, "\np50 %.0f us, p99 %.0f us", p->median.latency.p50, p->median.latency.p99);
    fputs("</title></circle>\n", file);
}

static void put_picture(const bench_run *runs, size_t n_runs, FILE *file) {
    axes a = find_axes(runs, n_runs);
    fprintf(file,
            "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"recall against queries a second\">\n",
            WIDTH, HEIGHT);
    put_grid(&a, file);
    for (size_t i = 0; i < n_runs; i++) {
        fprintf(file, "<g class=\"s c%zu\"><polyline points=\"", i % N_COLOURS);
        for (size_t j = 0; j < runs[i].n_points; j++)
            fprintf(file, "%.1f,%.1f ", place_x(&a, runs[i].points[j].quality.recall_ties),
                    place_y(&a, runs[i].points[j].median.qps_cpu));
        fputs("\"/>\n", file);
        for (size_t j = 0; j < runs[i].n_points; j++)
            put_point(&a, &runs[i], &runs[i].points[j], file);
        fputs("</g>\n", file);
    }
    fputs("</svg>\n<p class=legend>", file);
    for (size_t i = 0; i < n_runs; i++) {
        fprintf(file, "<span class=c%zu><b>&#9679;</b> ", i % N_COLOURS);
        put_text(runs[i].spec, file);
        fputs("</span> ", file);
    }
    fputs("</p>\n<div id=tip hidden></div>\n", file);
}

/* ---- the table --------------------------------------------------------------------------------------- */

static void put_table(const bench_run *runs, size_t n_runs, FILE *file) {
    fputs("<table><thead><tr><th>index<th>build s<th>CPU s<th>bytes/vector", file);
    for (int j = 0; j < BENCH_N_TARGETS; j++) fprintf(file, "<th>QPS at %s", bench_target_names[j]);
    fputs("</thead><tbody>\n", file);
    for (size_t i = 0; i < n_runs; i++) {
        fprintf(file, "<tr><td class=c%zu><b>&#9679;</b> ", i % N_COLOURS);
        put_text(runs[i].spec, file);
        fprintf(file, "<td>%.2f<td>%.2f<td>%.1f", runs[i].build_wall_s, runs[i].build_cpu_s,
                (double)runs[i].stats.bytes / (double)runs[i].stats.rows);
        for (int j = 0; j < BENCH_N_TARGETS; j++) {
            char text[32];
            fputs("<td>", file);
            put_text(bench_target_text(text, &runs[i], j), file);
        }
        fputs("\n", file);
    }
    fputs("</tbody></table>\n", file);
}

static const char style[] =
    ":root{color-scheme:light dark;--ink:#222;--faint:#ddd;--page:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--faint:#3a3a3a;--page:#181818}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:900px;margin:2em auto;padding:0 1em}"
    "svg{width:100%;height:auto}svg text{fill:var(--ink);font-size:12px}.g{stroke:var(--faint)}"
    "polyline{fill:none;stroke:currentColor;stroke-width:2}circle{fill:currentColor;stroke:transparent;stroke-width:14}"
    ".legend span{margin-right:1.2em;cursor:pointer}b{font-size:1.2em}"
    "table{border-collapse:collapse}th,td{padding:.2em .8em;text-align:right;border-bottom:1px solid var(--faint)}"
    "th:first-child,td:first-child{text-align:left}"
    ".c0{color:#2673c9}.c1{color:#d1661b}.c2{color:#2c9147}.c3{color:#b8398c}.c4{color:#7a5cc9}.c5{color:#8a7a00}"
    ".c6{color:#1c9a9a}.c7{color:#c23b3b}"
    "#tip{position:fixed;white-space:pre;pointer-events:none;background:var(--page);border:1px solid var(--ink);"
    "border-radius:4px;padding:.3em .6em;font-size:13px}.off{opacity:.08}";

static const char script[] =
    "const tip=document.getElementById('tip');"
    "for(const c of document.querySelectorAll('circle')){const t=c.querySelector('title');const text=t.textContent;"
    "c.addEventListener('pointermove',e=>{t.remove();tip.textContent=text;tip.hidden=false;"
    "tip.style.left=Math.min(e.clientX+14,innerWidth-260)+'px';tip.style.top=(e.clientY+14)+'px'});"
    "c.addEventListener('pointerleave',()=>{tip.hidden=true})}"
    "const series=document.querySelectorAll('g.s');"
    "document.querySelectorAll('.legend span').forEach((l,i)=>l.addEventListener('click',()=>{"
    "l.classList.toggle('off');series[i].classList.toggle('off')}));";

bool bench_print_html(const bench_setup *s, const bench_run *runs, size_t n_runs, FILE *file) {
    bench_machine m;
    bench_machine_get(&m);
    char texts[2][32];
    fprintf(
        file,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
        "<title>kith bench</title><style>%s</style>\n<h1>Recall against speed</h1>\n<p>",
        style);
    put_text(s->base_name, file);
    fprintf(file, ": %s rows of %zu, %s queries, %s, k = %u, %u thread%s%s, median of %u.<br>",
            print_count(texts[0], (double)s->base.n), s->base.dim,
            print_count(texts[1], (double)s->n), kith_metric_name(s->metric), s->k, s->threads,
            s->threads == 1 ? "" : "s", s->batch ? ", one batch" : "", s->repeats);
    put_text(m.cpu, file);
    fprintf(file, ", %s, %u cores; %s; %s; kith %s</p>\n", m.isa, m.cores, m.kernel, m.compiler,
            m.version);
    put_picture(runs, n_runs, file);
    put_table(runs, n_runs, file);
    fprintf(file, "<script>%s</script></html>\n", script);
    return !ferror(file);
}
