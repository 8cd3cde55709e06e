using Flamingo.Modeling;
using TorchSharp;
using static TorchSharp.torch;

TorchLibraries.Load(new ModelOptions { TorchLibraries = args[0], TorchVersion = args[1] });
void Say(string name, Func<object?> what)
{
    try { Console.WriteLine($"{name}: {what()}"); }
    catch (Exception exception) { Console.WriteLine($"{name}: FAILED {exception.GetType().Name} {exception.Message}"); }
}

Say("cuda", () => cuda.is_available());
var device = cuda.is_available() ? torch.device("cuda:0") : CPU;
Tensor Random(params long[] shape) => rand(shape).sub(0.5).to(device);
Say("sum", () => ones(4, 4).to(device).sum().cpu().item<float>());
foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
{
    var (a, b) = (Random(64, 512), Random(512, 256));
    var truth = a.cpu().to(ScalarType.Float64).matmul(b.cpu().to(ScalarType.Float64));
    Say($"matmul {dtype}", () => (a.to(dtype).matmul(b.to(dtype)).cpu().to(ScalarType.Float64) - truth).abs().max().item<double>());
    Say($"linear {dtype}", () => nn.functional.linear(a.to(dtype), b.t().contiguous().to(dtype), Random(256).to(dtype)).cpu().shape.Length);
    Say($"layer_norm {dtype}", () => nn.functional.layer_norm(a.to(dtype), [512], Random(512).to(dtype), null, 1e-5).cpu().to(ScalarType.Float32).abs().max().item<float>());
    var (q, k, v) = (Random(2, 8, 16, 64), Random(2, 8, 48, 64), Random(2, 8, 48, 64));
    var mask = Random(2, 8, 16, 48);
    Tensor Reference() => (q.cpu().to(ScalarType.Float64).matmul(k.cpu().to(ScalarType.Float64).transpose(2, 3)) / 8 + mask.cpu()).softmax(-1).matmul(v.cpu().to(ScalarType.Float64));
    Say($"sdpa mask {dtype}", () => (nn.functional.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype), attn_mask: mask.to(dtype)).cpu().to(ScalarType.Float64) - Reference()).abs().max().item<double>());
    Say($"sdpa {dtype}", () => nn.functional.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype)).cpu().shape.Length);
    Say($"gelu silu sigmoid {dtype}", () => { nn.functional.gelu(q.to(dtype), inplace: true); nn.functional.silu(q.to(dtype), inplace: true); return q.to(dtype).sigmoid_().cpu().numel(); });
}

Say("index ops", () =>
{
    var pool = zeros(64, 16, ScalarType.Float32, device);
    var index = tensor(new long[] { 3, 5, 7 }, device: device);
    pool.index_copy_(0, index, Random(3, 16));
    pool.view(8, 8, 16).index_put_(Random(2, 16), tensor(new long[] { 1, 2 }, device: device), tensor(new long[] { 1, 2 }, device: device));
    return pool.index_select(0, index).abs().sum().cpu().item<float>();
});
Say("pinned", () => { var pinned = ones(1024).pin_memory(); return pinned.to(device.type, device.index, non_blocking: true).sum().cpu().item<float>(); });
Say("pinned back", () => { var host = empty(1024).pin_memory(); host.copy_(Random(1024), true); cuda.synchronize(); return host.sum().item<float>(); });
Say("log_softmax gather", () => Random(4, 100).to(ScalarType.Float64).log_softmax(-1).gather(1, tensor(new long[] { 1, 2, 3, 4 }, device: device).unsqueeze(1)).cpu().numel());
Say("argmax", () => Random(4, 100).argmax(1).cpu().numel());
Say("tanh addcmul", () => Random(4, 100).addcmul(Random(4, 100), Random(1).tanh(), 1).cpu().numel());
Say("interpolate", () => nn.functional.interpolate(rand(1, 3, 40, 50).mul(255).to(ScalarType.Byte), [20L, 25L], mode: InterpolationMode.Bicubic, align_corners: false, antialias: true).shape.Length);
Say("out of memory", () => empty(1L << 42, ScalarType.Byte, device).numel());
Say("after it", () => ones(4, device: device).sum().cpu().item<float>());
Say("tf32", () => (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32));
if (device.type == DeviceType.CUDA)
{
    double Time(Action action, int count)
    {
        for (var i = 0; i < 3; i++) action();
        cuda.synchronize();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        for (var i = 0; i < count; i++) action();
        cuda.synchronize();
        return watch.Elapsed.TotalSeconds / count;
    }

    var n = 8192L;
    var (x, y) = (randn(n, n, ScalarType.BFloat16, device), randn(n, n, ScalarType.BFloat16, device));
    Say("gemm TFLOP/s", () => 2.0 * n * n * n / Time(() => { using var z = x.matmul(y); }, 20) / 1e12);
    var big = zeros(1L << 31, ScalarType.Byte, device);
    var other = zeros_like(big);
    Say("copy GB/s", () => 2.0 * (1L << 31) / Time(() => other.copy_(big), 20) / 1e9);
    var small = ones(1, 2048, ScalarType.BFloat16, device);
    Say("add µs", () => Time(() => { using var z = small + small; }, 5000) * 1e6);
    var weight = randn(8192, 2048, ScalarType.BFloat16, device);
    Say("linear µs", () => Time(() => { using var z = nn.functional.linear(small, weight); }, 5000) * 1e6);
    foreach (var rows in new[] { 1, 4, 8, 16, 64 })
    {
        var xs = randn(rows, 2048, ScalarType.BFloat16, device);
        var weights = Enumerable.Range(0, 64).Select(_ => randn(8192, 2048, ScalarType.BFloat16, device)).ToArray();
        Say($"linear {rows} rows, GB/s", () => 64 * 8192 * 2048 * 2.0 / Time(() => { foreach (var w in weights) { using var z = nn.functional.linear(xs, w); } }, 20) / 1e9);
        foreach (var w in weights) w.Dispose();
    }

    Say("scope of 10 adds µs", () => Time(() => { using var scope = NewDisposeScope(); for (var i = 0; i < 10; i++) _ = small + small; }, 1000) * 1e6);
}
