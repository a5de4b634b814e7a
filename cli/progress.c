/* The progress bar.
 *
 *     build  [##########----------]  52 %  31,210 of 60,000 rows  4,120 rows/s  7 s left
 *
 * It appears after two seconds, is drawn ten times a second at most, and is wiped away at the end. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "print.h"

#define APPEAR_S  2.0
#define REDRAW_S  0.1
#define BAR_CELLS 20

void progress_start(progress *p, const char *label, const char *unit) {
    *p = (progress){
        .label = label, .unit = unit, .start_s = wall_s(), .terminal = isatty(STDERR_FILENO)};
}

void progress_update(void *context, uint64_t done, uint64_t total) {
    progress *p = context;
    double now = wall_s();
    if (!p->terminal || now - p->start_s < APPEAR_S || now - p->drawn_s < REDRAW_S || !total)
        return;
    p->drawn_s = now;
    p->visible = true;
    double share = (double)done / (double)total;
    double rate = (double)done / (now - p->start_s);
    char bar[BAR_CELLS + 1];
    int filled = (int)(share * BAR_CELLS);
    memset(bar, '-', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    char of[32];
    char rate_text[32];
    char done_text[32];
    fprintf(stderr, "\r\033[K%s  [%s] %3.0f %%  %s of %s %s  %s %s/s", p->label, bar, share * 100,
            print_count(done_text, (double)done), print_count(of, (double)total), p->unit,
            print_count(rate_text, rate), p->unit);
    if (rate > 0) {
        char left[32];
        fprintf(stderr, "  %s left", print_seconds(left, ((double)total - (double)done) / rate));
    }
    fflush(stderr);
}

void progress_finish(progress *p) {
    if (p->visible) fputs("\r\033[K", stderr);
    p->visible = false;
}
