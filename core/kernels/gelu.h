/* The numbers of gelu's approximation by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415), written with exp. */
#ifndef NB_KERNELS_GELU_H
#define NB_KERNELS_GELU_H

#define NB_GELU_CUBIC             0.044715f
#define NB_GELU_MINUS_2_SQRT_2_PI -0x1.988454p+0f /* -2 sqrt(2 / pi) */

#endif
