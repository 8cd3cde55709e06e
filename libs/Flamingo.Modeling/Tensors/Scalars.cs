using System.Collections.Concurrent;
using TorchSharp;
using static TorchSharp.torch;

namespace Flamingo.Modeling.Tensors;

/// <summary>
/// Scalars for operations on tensors. TorchSharp 0.107 passes the native memory of a <see cref="Scalar"/> to torch without
/// keeping its owner alive. A scalar that is created for one call, as <c>x * 2</c> and even <c>x + y</c> do, can be finalised
/// before torch has read it, and torch then computes with arbitrary memory. This is rare and causes no error, so all code takes
/// its scalars from this class, which never frees them. The sum of two tensors needs a scalar too, as the factor of the second:
/// see <see cref="Plus"/>.
/// </summary>
public static class Scalars
{
    private static readonly ConcurrentDictionary<double, Scalar> Reals = [];
    private static readonly ConcurrentDictionary<long, Scalar> Integers = [];

    /// <summary>The integer 1.</summary>
    public static Scalar One { get; } = Of(1L);

    public static Scalar Of(double value) => Reals.GetOrAdd(value, static value => value.ToScalar());

    public static Scalar Of(long value) => Integers.GetOrAdd(value, static value => value.ToScalar());

    /// <summary>Returns the numbers 0, 1, … up to count − 1.</summary>
    public static Tensor Range(long count, ScalarType dtype, Device device) => arange(Of(0), Of(count), One, dtype, device);

    /// <summary>Computes left + right with a scalar that is never freed.</summary>
    public static Tensor Plus(this Tensor left, Tensor right) => left.add(right, One);
}
