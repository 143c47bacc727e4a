/* Numbers as text. libc's printf may differ between systems in its last digit or its locale;
 * what nibble prints is part of the numeric contract, so it prints numbers itself. */
#ifndef NB_BASE_PRINT_H
#define NB_BASE_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* All of these write at most `size` bytes with the terminator, and return `text`. 32 bytes are
 * enough for everything but nb_print_exact and nb_print_fixed of huge numbers. Correctly rounded, ties to
 * even; "nan", "inf", "-inf". A zero keeps its sign: "-0". */

/* `value` with `digits` after the point: 3.1416. Where that does not fit into `size` bytes, the general form
 * with at most 17 significant digits: 1e+300. */
char *nb_print_fixed(char *text, size_t size, double value, int digits);
/* `value` with `digits` significant ones, trailing zeros dropped, as %g picks its form: 1.13e-07. */
char *nb_print_general(char *text, size_t size, double value, int digits);
/* The shortest decimal that reads back as the same f32 / f64 (the nearest of these); in the form that %.9g
 * and
 * %.17g would pick. */
char *nb_print_f32(char *text, size_t size, float value);
char *nb_print_f64(char *text, size_t size, double value);
/* Every digit of the binary value: 0.1f is 0.100000001490116119384765625. At most 1078 bytes. */
char *nb_print_exact(char *text, size_t size, double value);
/* 1234567 as "1,234,567". */
char *nb_print_count(char *text, size_t size, uint64_t value);
/* Bytes in decimal units: whole numbers up to 1999, three significant digits beyond: "1573 kB", "6.90 MB". */
char *nb_print_bytes(char *text, size_t size, uint64_t n_bytes);

/* Reads a decimal number ("12", "-1.5e-3", ".5") as the nearest f64 (ties to even; too large is infinity),
 * independent of the locale. Returns the number of bytes read, 0 if `text` starts with no number: white
 * space, "nan" and "inf" are none. */
size_t nb_parse_f64(const char *text, double *value);

#endif
