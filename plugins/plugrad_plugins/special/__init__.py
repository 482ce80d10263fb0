"""SciPy's special functions, with derivatives: `plugrad.ops.special.NAME`.

This module is all that discovery imports: what there is, and where. The declarations, each with its derivatives, are
in the modules of the families. The kernels are SciPy's on the CPU, and on CUDA those that CuPy has; what is in
neither is made of other ops in its declaration.
"""

from __future__ import annotations

from plugrad.plugins import KernelSpec, OpSpec, hookimpl

FAMILIES = {
    "gamma": "gamma gammaln loggamma gammasgn rgamma digamma polygamma multigammaln poch binom beta betaln",
    "incomplete": "gammainc gammaincc gammaincinv gammainccinv betainc betaincc betaincinv betainccinv "
    "gamma_density beta_density gammainc_by_a betainc_by_a betainc_by_b",
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

COMPOSED = frozenset(
    [
        "multigammaln",
        "gamma_density",
        "beta_density",
        "gammainc_by_a",
        "betainc_by_a",
        "betainc_by_b",
        "carlson",
    ]
)
"""Those without a kernel: their declarations say how to compute them by other ops."""

CUPY = (
    "gamma gammaln loggamma gammasgn rgamma digamma polygamma poch binom gammainc gammaincc gammaincinv gammainccinv "
    "beta betaln betainc betaincinv j0 j1 y0 y1 i0 i0e i1 i1e k0 k0e k1 k1e wright_bessel erfcx erfinv erfcinv "
    "ndtr log_ndtr ndtri exp1 expi expn zeta ellipk ellipkm1 ellipkinc ellipeinc expit log_expit logit xlogy xlog1py "
    "entr rel_entr kl_div huber pseudo_huber exp10 cbrt boxcox boxcox1p inv_boxcox inv_boxcox1p exprel cosm1 sinc "
    "bdtr bdtrc nbdtr nbdtrc pdtr pdtrc pdtri chdtr chdtrc chdtri gdtr gdtrc fdtr fdtrc fdtri"
)
"""Those that CuPy has, too."""


@hookimpl
def plugrad_ops() -> list[OpSpec]:
    """The declarations."""
    return [
        OpSpec(f"special::{name}", f"{__name__}.{family}:{name}")
        for family, names in FAMILIES.items()
        for name in names.split()
    ]


@hookimpl
def plugrad_kernels() -> list[KernelSpec]:
    """The kernels."""
    names = [name for family in FAMILIES.values() for name in family.split() if name not in COMPOSED]
    cpu = [KernelSpec(f"special::{name}", "cpu", f"{__name__}.kernels:{name}") for name in names]
    return cpu + [
        KernelSpec(f"special::{name}", "cuda", f"cupyx.scipy.special:{name}") for name in CUPY.split()
    ]
