"""SciPy's special functions, with derivatives: `plugrad.ops.special.NAME`.

This module is all that a plugin's discovery imports: it names what there is, and where. The declarations, each with
its derivatives, are in the modules of the families; the kernels are SciPy's, and CuPy's where it has them.
"""

from __future__ import annotations

OPS = {
    "gamma": "gamma gammaln loggamma gammasgn rgamma digamma polygamma multigammaln poch binom gamma_density "
    "gammainc gammaincc gammaincinv gammainccinv",
    "beta": "beta betaln betainc betaincc betaincinv betainccinv beta_density",
    "bessel": "j0 j1 jv y0 y1 yv hankel1 hankel2 i0 i0e i1 i1e iv ive k0 k0e k1 k1e kv kve "
    "spherical_jn spherical_yn spherical_in spherical_kn airy_ai airy_ai_prime airy_bi airy_bi_prime "
    "struve modstruve wright_bessel",
    "error": "erfi erfcx erfinv erfcinv dawsn wofz fresnel_s fresnel_c ndtr log_ndtr ndtri ndtri_exp owens_t "
    "voigt_profile",
    "integrals": "exp1 expi expn si ci shi chi spence zeta",
    "elliptic": "ellipk ellipkm1 ellipe ellipkinc ellipeinc elliprc elliprd elliprf elliprg elliprj carlson agm",
    "elementary": "expit log_expit logit xlogy xlog1py entr rel_entr kl_div huber pseudo_huber exp10 cbrt powm1 "
    "boxcox boxcox1p inv_boxcox inv_boxcox1p exprel cosm1 sinc",
    "hypergeometric": "hyp0f1 hyp1f1 hyp2f1 hyperu eval_legendre eval_chebyt eval_chebyu eval_gegenbauer eval_jacobi "
    "eval_hermite eval_hermitenorm eval_laguerre eval_genlaguerre",
    "lambert": "lambertw wrightomega",
    "distributions": "bdtr bdtrc nbdtr nbdtrc pdtr pdtrc pdtri chdtr chdtrc chdtri gdtr gdtrc fdtr fdtrc fdtri "
    "stdtr stdtrit kolmogorov kolmogi",
}
"""The functions of each module."""
