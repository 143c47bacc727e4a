/* exp, log, pow, sin, cos, tanh of our own: the same bits on every machine. Polynomials in fma;
 * sqrt, fma and rint are IEEE-754's and come from the compiler. Errors are stated per function. */
#ifndef NB_MATH_MATH_H
#define NB_MATH_MATH_H

float nb_expf(float x);   /* below 1 ulp; 0 under -104, inf over 88.73; subnormal results are made */
float nb_tanhf(float x);
double nb_exp(double x);
double nb_log(double x);
double nb_pow(double x, double y); /* x > 0 */
double nb_sin(double x);           /* |x| up to 1e6 */
double nb_cos(double x);

#endif
