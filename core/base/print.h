/* Numbers as text. libc's printf may differ between systems in its last digit or its locale;
 * what nibble prints is part of the numeric contract, so it prints numbers itself. */
#ifndef NB_BASE_PRINT_H
#define NB_BASE_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* All of these write at most `size` bytes with the terminator, and return `text`. 32 bytes are
 * enough for everything but nb_print_exact. Correctly rounded, ties to even; "nan", "inf", "-inf". */

/* `value` with `digits` after the point: 3.1416. */
char *nb_print_fixed(char *text, size_t size, double value, int digits);
/* `value` with `digits` significant ones, trailing zeros dropped, as %g picks its form: 1.13e-07. */
char *nb_print_general(char *text, size_t size, double value, int digits);
/* The shortest decimal that reads back as the same f32 / f64. */
char *nb_print_f32(char *text, size_t size, float value);
char *nb_print_f64(char *text, size_t size, double value);
/* Every digit of the binary value: 0.1f is 0.100000001490116119384765625. */
char *nb_print_exact(char *text, size_t size, double value);
/* 1234567 as "1,234,567". */
char *nb_print_count(char *text, size_t size, uint64_t value);
/* Bytes in decimal units, three significant digits: "1573 kB", "6.90 MB". */
char *nb_print_bytes(char *text, size_t size, uint64_t n_bytes);

/* Reads a decimal number as the nearest f64 (ties to even), independent of the locale. Returns the
 * number of bytes read, 0 if `text` starts with no number. */
size_t nb_parse_f64(const char *text, double *value);

#endif
