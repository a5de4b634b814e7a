/* The progress bar.
 *
 *     build [##########----------] 52 %  31,210 of 60,000 rows, 4,120/s, 7 s left
 *
 * It appears after two seconds, is drawn ten times a second at most, and is wiped away at the end. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* Columns of the terminal; the bar must not reach the last one, or the line would break. */
static int terminal_columns(void) {
    struct winsize size;
    bool told = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return told ? size.ws_col : 80;
}

/* Rough, as a forecast is: 33 s, 12 min, 3.1 h. */
static char *print_left(char *text, size_t size, double seconds) {
    if (seconds < 100)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
    return text;
}

static void draw(const progress *p, double done, double total, double seconds) {
    char bar[BAR_CELLS + 1];
    size_t filled = (size_t)(done / total * BAR_CELLS);
    memset(bar, '-', BAR_CELLS);
    memset(bar, '#', filled < BAR_CELLS ? filled : BAR_CELLS);
    bar[BAR_CELLS] = '\0';
    char line[256];
    char texts[4][32];
    snprintf(line, sizeof line, "%s [%s] %2.0f %%  %s of %s %s, %s/s, %s left", p->label, bar,
             100 * done / total, print_count(texts[0], done), print_count(texts[1], total), p->unit,
             print_count(texts[2], done / seconds),
             print_left(texts[3], sizeof texts[3], (total - done) * seconds / done));
    fprintf(stderr, "\r\033[K%.*s", terminal_columns() - 1, line);
    fflush(stderr);
}

void progress_update(void *context, uint64_t done, uint64_t total) {
    progress *p = context;
    double now = wall_s();
    if (!p->terminal || now - p->start_s < APPEAR_S || now - p->drawn_s < REDRAW_S) return;
    if (!total || !done || done > total) return;
    p->drawn_s = now;
    p->visible = true;
    draw(p, (double)done, (double)total, now - p->start_s);
}

void progress_finish(progress *p) {
    if (p->visible) fputs("\r\033[K", stderr);
    p->visible = false;
}
