/* exp, log, pow, sin, cos, tanh of our own: the same bits on every machine. Polynomials, with fma where
 * it is written; fma and the four operations are IEEE-754's and come from the compiler. Errors are stated
 * per function and held by tests. A NaN that comes out is the quiet positive one (7fc00000). */
#ifndef NB_MATH_MATH_H
#define NB_MATH_MATH_H

float nb_expf(float x);            /* below 1 ulp; 0 under -104, inf over 88.73; subnormal results are made */
float nb_tanhf(float x);           /* below 2 ulp */
double nb_exp(double x);           /* below 1 ulp, subnormal results too */
double nb_log(double x);           /* below 1 ulp; -inf at 0, NaN under it */
double nb_pow(double x, double y); /* x > 0; below 1 ulp */
double nb_sin(double x);           /* |x| up to 1e6; below 1 ulp */
double nb_cos(double x);

#endif
