/* Conversions and codes of every level: all 65,536 halves both ways, rounding at every boundary, clamping, tails. */
#include "kern_data.h"

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* A half type's value by its definition. */
static double half_value(uint16_t half, int mantissa_bits, int bias) {
    int exponent = (half & 0x7fff) >> mantissa_bits, mantissa = half & ((1 << mantissa_bits) - 1);
    int top = (1 << (15 - mantissa_bits)) - 1;
    double sign = half & 0x8000 ? -1 : 1;
    if (exponent == top) return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

static void every_half_becomes_its_value(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    static uint16_t half[65536];
    static float out[65536];
    for (uint32_t i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    for (size_t l = 0; l < n_levels; l++) {
        level[l]->to_f32[KITH_TYPE_F16](half, 65536, out);
        for (uint32_t i = 0; i < 65536; i++)
            assert_true(same_float(out[i], (float)half_value(half[i], 10, 15)));
        level[l]->to_f32[KITH_TYPE_BF16](half, 65536, out);
        for (uint32_t i = 0; i < 65536; i++)
            assert_true(same_float(out[i], (float)half_value(half[i], 7, 127)));
    }
}

/* Round to the nearest half by search among neighbours in exact arithmetic: ties to the even pattern. */
static uint16_t nearest_half(float x, int mantissa_bits, int bias) {
    uint16_t infinity = (uint16_t)(((1 << (15 - mantissa_bits)) - 1) << mantissa_bits);
    uint16_t sign = signbit(x) ? 0x8000 : 0, low = 0, high = infinity;
    double size = fabs((double)x);
    if (isinf(x)) return sign | infinity;
    while (high - low > 1) { /* low <= size < high */
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (half_value(middle, mantissa_bits, bias) <= size)
            low = middle;
        else
            high = middle;
    }
    double below = half_value(low, mantissa_bits, bias);
    double above = high == infinity ? ldexp(1, bias + 1) : half_value(high, mantissa_bits, bias);
    bool up = size - below > above - size || (size - below == above - size && (low & 1));
    return (uint16_t)(sign | (up ? high : low));
}

static void halves_round_to_nearest_even(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    enum { N = 40000 };
    static float in[N];
    static uint16_t out[N], want[N];
    for (int type = KITH_TYPE_F16; type <= KITH_TYPE_BF16; type++) {
        int mantissa_bits = type == KITH_TYPE_F16 ? 10 : 7, bias = type == KITH_TYPE_F16 ? 15 : 127;
        for (int i = 0; i < N; i++) {
            /* any pattern, or one of the middle between two halves and its two neighbours */
            uint32_t bits = (uint32_t)bits_random(&random_state);
            if (i % 2) {
                double low = half_value((uint16_t)(bits & 0x7fff), mantissa_bits, bias);
                double high = half_value((uint16_t)((bits & 0x7fff) + 1), mantissa_bits, bias);
                if (isfinite(low) && isfinite(high))
                    bits = bits_of((float)((low + high) / 2)) + (uint32_t)random_below(3) - 1;
            }
            in[i] = float_of(bits);
            if (isnan(in[i])) in[i] = 65519.996f + (float)(i % 4);
            want[i] = nearest_half(in[i], mantissa_bits, bias);
        }
        for (size_t l = 0; l < n_levels; l++) {
            level[l]->from_f32[type](in, N, out);
            for (int i = 0; i < N; i++)
                if (out[i] != want[i])
                    fail_msg("%s %s of %a: %04x, not %04x", level[l]->name, type_names[type],
                             (double)in[i], out[i], want[i]);
            float nan[3] = {NAN, -NAN, float_of(0x7f800001)};
            level[l]->from_f32[type](nan, 3, out);
            for (int i = 0; i < 3; i++) assert_true(isnan(half_value(out[i], mantissa_bits, bias)));
        }
    }
}

static void tails_write_nothing_more(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard in = guard_new(400), out = guard_new(400);
    for (size_t n = 0; n < 70; n++)
        for (size_t l = 0; l < n_levels; l++) {
            for (int type = 0; type < KERN_TYPES; type++) {
                void *x = guard_end(&in, n * type_bytes[type]);
                float *y = guard_end(&out, n * 4), each[70];
                random_row(x, (kith_type)type, n, UNIT);
                level[0]->to_f32[type](x, n, each);
                level[l]->to_f32[type](x, n, y);
                assert_memory_equal(each, y, n * 4);
                if (type > KITH_TYPE_BF16) continue;
                uint16_t *half = guard_end(&out, n * type_bytes[type]);
                level[l]->from_f32[type](each, n, half);
                assert_memory_equal(half, x, n * type_bytes[type]); /* exact there and back */
            }
            assert_true(level[l]->max_abs((float *)guard_end(&in, 0), 0) == 0);
        }
    guard_free(&in);
    guard_free(&out);
}

static long clamped(double x, long low, long high) {
    return x < (double)low ? low : x > (double)high ? high : lrint(x);
}

static void codes_round_and_clamp(void **state) {
    (void)state;
    const struct kern *level[8];
    size_t n_levels = kern_levels(level, 8);
    struct guard memory[4] = {guard_new(4 * 1200), guard_new(4 * 1200), guard_new(4 * 1200),
                              guard_new(1200)};
    for (int round = 0; round < 400; round++) {
        size_t n = random_dim();
        float *in = guard_end(&memory[0], n * 4), *low = guard_end(&memory[1], n * 4);
        float *inv = guard_end(&memory[2], n * 4);
        uint8_t *out = guard_end(&memory[3], n);
        float scale = round % 3 ? 127.0f : 40.5f, most = 0;
        for (size_t i = 0; i < n; i++) {
            in[i] = random_below(3) ? random_unit() * 2
                                    : (float)random_below(512) / 2 - 128; /* halves: ties */
            low[i] = round % 2 ? random_unit() : 0;
            inv[i] = round % 2 ? 255 * fabsf(random_unit()) : 1;
            most = fabsf(in[i]) > most ? fabsf(in[i]) : most;
        }
        if (round % 7 == 0) in[0] = 1e30f; /* beyond any integer */
        if (round % 7 == 1) in[n - 1] = -1e30f;
        if (round % 7 < 2) most = 1e30f;
        for (size_t l = 0; l < n_levels; l++) {
            level[l]->encode_u8(in, low, inv, n, out);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(out[i], clamped((double)((in[i] - low[i]) * inv[i]), 0, 255));
            level[l]->encode_s8(in, scale, n, (int8_t *)out);
            for (size_t i = 0; i < n; i++)
                assert_int_equal((int8_t)out[i], clamped((double)(in[i] * scale), -127, 127));
            assert_true(level[l]->max_abs(in, n) == most);
        }
    }
    for (int i = 0; i < 4; i++) guard_free(&memory[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_becomes_its_value),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(tails_write_nothing_more),
        cmocka_unit_test(codes_round_and_clamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
