using System.Collections.Concurrent;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tensors;

/// <summary>
/// Numbers that tensors are computed with. TorchSharp 0.107 hands a number's native memory to torch without keeping its owner alive: a
/// <see cref="Scalar"/> that is made for one call, as <c>x * 2</c> and even <c>x + y</c> do, can be finalised before torch has read it, and
/// torch then computes with whatever lies there. It is rare and silent, so all numbers are taken from here, where they live for ever.
/// Sums of tensors take one as well, their factor: <see cref="Plus"/>.
/// </summary>
public static class Scalars
{
    private static readonly ConcurrentDictionary<double, Scalar> Reals = [];
    private static readonly ConcurrentDictionary<long, Scalar> Integers = [];

    /// <summary>The integer 1.</summary>
    public static Scalar One { get; } = Of(1L);

    public static Scalar Of(double value) => Reals.GetOrAdd(value, static value => value.ToScalar());

    public static Scalar Of(long value) => Integers.GetOrAdd(value, static value => value.ToScalar());

    /// <summary>0, 1, … up to count − 1.</summary>
    public static Tensor Range(long count, ScalarType dtype, Device device) => arange(Of(0), Of(count), One, dtype, device);

    /// <summary>left + right.</summary>
    public static Tensor Plus(this Tensor left, Tensor right) => left.add(right, One);
}
