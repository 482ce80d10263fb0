"""The methods of `Tensor` that PyTorch also has as functions: `plugrad.exp(x)` is `x.exp()`."""

from __future__ import annotations

from ..tensor import Tensor

# activation
log_softmax = Tensor.log_softmax
relu = Tensor.relu
sigmoid = Tensor.sigmoid
softmax = Tensor.softmax
tanh = Tensor.tanh

# comparison
allclose = Tensor.allclose
bitwise_and = Tensor.bitwise_and
bitwise_left_shift = Tensor.bitwise_left_shift
bitwise_not = Tensor.bitwise_not
bitwise_or = Tensor.bitwise_or
bitwise_right_shift = Tensor.bitwise_right_shift
bitwise_xor = Tensor.bitwise_xor
clamp = Tensor.clamp
clamp_max = Tensor.clamp_max
clamp_min = Tensor.clamp_min
clip = Tensor.clip
eq = Tensor.eq
equal = Tensor.equal
fmax = Tensor.fmax
fmin = Tensor.fmin
ge = Tensor.ge
greater = Tensor.greater
greater_equal = Tensor.greater_equal
gt = Tensor.gt
isclose = Tensor.isclose
isfinite = Tensor.isfinite
isinf = Tensor.isinf
isnan = Tensor.isnan
le = Tensor.le
less = Tensor.less
less_equal = Tensor.less_equal
logical_and = Tensor.logical_and
logical_not = Tensor.logical_not
logical_or = Tensor.logical_or
logical_xor = Tensor.logical_xor
lt = Tensor.lt
maximum = Tensor.maximum
minimum = Tensor.minimum
nan_to_num = Tensor.nan_to_num
ne = Tensor.ne
not_equal = Tensor.not_equal
signbit = Tensor.signbit

# elementwise
abs = Tensor.abs
absolute = Tensor.absolute
acos = Tensor.acos
acosh = Tensor.acosh
add = Tensor.add
addcdiv = Tensor.addcdiv
addcmul = Tensor.addcmul
angle = Tensor.angle
arccos = Tensor.arccos
arccosh = Tensor.arccosh
arcsin = Tensor.arcsin
arcsinh = Tensor.arcsinh
arctan = Tensor.arctan
arctan2 = Tensor.arctan2
arctanh = Tensor.arctanh
asin = Tensor.asin
asinh = Tensor.asinh
atan = Tensor.atan
atan2 = Tensor.atan2
atanh = Tensor.atanh
ceil = Tensor.ceil
conj = Tensor.conj
conj_physical = Tensor.conj_physical
copysign = Tensor.copysign
cos = Tensor.cos
cosh = Tensor.cosh
div = Tensor.div
divide = Tensor.divide
erf = Tensor.erf
erfc = Tensor.erfc
exp = Tensor.exp
exp2 = Tensor.exp2
expm1 = Tensor.expm1
fix = Tensor.fix
float_power = Tensor.float_power
floor = Tensor.floor
floor_divide = Tensor.floor_divide
fmod = Tensor.fmod
frac = Tensor.frac
heaviside = Tensor.heaviside
hypot = Tensor.hypot
lerp = Tensor.lerp
log = Tensor.log
log10 = Tensor.log10
log1p = Tensor.log1p
log2 = Tensor.log2
logaddexp = Tensor.logaddexp
mul = Tensor.mul
multiply = Tensor.multiply
neg = Tensor.neg
negative = Tensor.negative
positive = Tensor.positive
pow = Tensor.pow
reciprocal = Tensor.reciprocal
remainder = Tensor.remainder
round = Tensor.round
rsqrt = Tensor.rsqrt
sgn = Tensor.sgn
sign = Tensor.sign
sin = Tensor.sin
sinh = Tensor.sinh
sqrt = Tensor.sqrt
square = Tensor.square
sub = Tensor.sub
subtract = Tensor.subtract
tan = Tensor.tan
true_divide = Tensor.true_divide
trunc = Tensor.trunc

# extrema
amax = Tensor.amax
amin = Tensor.amin
aminmax = Tensor.aminmax
argmax = Tensor.argmax
argmin = Tensor.argmin
max = Tensor.max
median = Tensor.median
min = Tensor.min

# indexing
argwhere = Tensor.argwhere
gather = Tensor.gather
index_add = Tensor.index_add
index_copy = Tensor.index_copy
index_fill = Tensor.index_fill
index_put = Tensor.index_put
index_select = Tensor.index_select
masked_fill = Tensor.masked_fill
masked_scatter = Tensor.masked_scatter
masked_select = Tensor.masked_select
nonzero = Tensor.nonzero
scatter = Tensor.scatter
scatter_add = Tensor.scatter_add
select = Tensor.select
take = Tensor.take
take_along_dim = Tensor.take_along_dim

# inplace
abs_ = Tensor.abs_
acos_ = Tensor.acos_
acosh_ = Tensor.acosh_
addmv_ = Tensor.addmv_
arccos_ = Tensor.arccos_
arccosh_ = Tensor.arccosh_
arcsin_ = Tensor.arcsin_
arcsinh_ = Tensor.arcsinh_
arctan_ = Tensor.arctan_
arctanh_ = Tensor.arctanh_
asin_ = Tensor.asin_
asinh_ = Tensor.asinh_
atan_ = Tensor.atan_
atanh_ = Tensor.atanh_
ceil_ = Tensor.ceil_
clamp_ = Tensor.clamp_
clamp_max_ = Tensor.clamp_max_
clamp_min_ = Tensor.clamp_min_
clip_ = Tensor.clip_
conj_physical_ = Tensor.conj_physical_
cos_ = Tensor.cos_
cosh_ = Tensor.cosh_
erf_ = Tensor.erf_
erfc_ = Tensor.erfc_
exp2_ = Tensor.exp2_
exp_ = Tensor.exp_
expm1_ = Tensor.expm1_
fill_ = Tensor.fill_
fix_ = Tensor.fix_
floor_ = Tensor.floor_
frac_ = Tensor.frac_
index_put_ = Tensor.index_put_
log10_ = Tensor.log10_
log1p_ = Tensor.log1p_
log2_ = Tensor.log2_
log_ = Tensor.log_
nan_to_num_ = Tensor.nan_to_num_
neg_ = Tensor.neg_
negative_ = Tensor.negative_
reciprocal_ = Tensor.reciprocal_
relu_ = Tensor.relu_
round_ = Tensor.round_
rsqrt_ = Tensor.rsqrt_
sigmoid_ = Tensor.sigmoid_
sin_ = Tensor.sin_
sinh_ = Tensor.sinh_
sqrt_ = Tensor.sqrt_
square_ = Tensor.square_
tan_ = Tensor.tan_
tanh_ = Tensor.tanh_
trunc_ = Tensor.trunc_
zero_ = Tensor.zero_

# linalg
addbmm = Tensor.addbmm
addmm = Tensor.addmm
addmv = Tensor.addmv
addr = Tensor.addr
baddbmm = Tensor.baddbmm
bmm = Tensor.bmm
cholesky = Tensor.cholesky
det = Tensor.det
dot = Tensor.dot
ger = Tensor.ger
inner = Tensor.inner
inverse = Tensor.inverse
kron = Tensor.kron
logdet = Tensor.logdet
matmul = Tensor.matmul
matrix_power = Tensor.matrix_power
mm = Tensor.mm
mv = Tensor.mv
outer = Tensor.outer
slogdet = Tensor.slogdet
trace = Tensor.trace
vdot = Tensor.vdot

# pieces
chunk = Tensor.chunk
clone = Tensor.clone
diag = Tensor.diag
diag_embed = Tensor.diag_embed
diagonal = Tensor.diagonal
flip = Tensor.flip
fliplr = Tensor.fliplr
flipud = Tensor.flipud
narrow = Tensor.narrow
repeat_interleave = Tensor.repeat_interleave
roll = Tensor.roll
rot90 = Tensor.rot90
split = Tensor.split
tensor_split = Tensor.tensor_split
tile = Tensor.tile
tril = Tensor.tril
triu = Tensor.triu
unbind = Tensor.unbind

# reductions
all = Tensor.all
any = Tensor.any
count_nonzero = Tensor.count_nonzero
cumprod = Tensor.cumprod
cumsum = Tensor.cumsum
diff = Tensor.diff
dist = Tensor.dist
logsumexp = Tensor.logsumexp
mean = Tensor.mean
nanmean = Tensor.nanmean
nansum = Tensor.nansum
norm = Tensor.norm
prod = Tensor.prod
std = Tensor.std
sum = Tensor.sum
var = Tensor.var

# shapes
adjoint = Tensor.adjoint
broadcast_to = Tensor.broadcast_to
flatten = Tensor.flatten
moveaxis = Tensor.moveaxis
movedim = Tensor.movedim
permute = Tensor.permute
ravel = Tensor.ravel
reshape = Tensor.reshape
squeeze = Tensor.squeeze
swapaxes = Tensor.swapaxes
swapdims = Tensor.swapdims
t = Tensor.t
transpose = Tensor.transpose
unflatten = Tensor.unflatten
unsqueeze = Tensor.unsqueeze

# sorting
argsort = Tensor.argsort
bincount = Tensor.bincount
kthvalue = Tensor.kthvalue
msort = Tensor.msort
sort = Tensor.sort
topk = Tensor.topk
unique = Tensor.unique

# tensor
detach = Tensor.detach
detach_ = Tensor.detach_
is_complex = Tensor.is_complex
is_floating_point = Tensor.is_floating_point
numel = Tensor.numel
