using System.Collections.Immutable;
using Flamingo.Abstractions;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>
/// Converts tensors without copying their bytes. That is safe because <see cref="TensorData"/> is immutable and never pooled.
/// </summary>
public static class TensorWire
{
    public static V1.Tensor ToMessage(this TensorData tensor)
    {
        var message = new V1.Tensor { Dtype = (V1.Dtype)tensor.Dtype, Data = UnsafeByteOperations.UnsafeWrap(tensor.Bytes) };
        message.Shape.AddRange(tensor.Shape);
        return message;
    }

    /// <param name="field">Name of the field, for errors.</param>
    /// <exception cref="FlamingoException">InvalidArgument: the tensor is missing, or its bytes do not fit the shape.</exception>
    public static TensorData ToRecord(this V1.Tensor? message, string field)
    {
        if (message is null) throw FlamingoException.Invalid(field, "The tensor is missing.", "Send the tensor.");
        try
        {
            return new TensorData((TensorDtype)message.Dtype, [.. message.Shape], message.Data.Memory);
        }
        catch (FlamingoException exception)
        {
            throw FlamingoException.Invalid(
                [.. exception.Faults.Select(fault =>
                    fault with { Field = fault.Field.Replace("tensor", field, StringComparison.Ordinal) })]);
        }
    }

    /// <summary>Converts a list of tensors and reports the faults of all of them.</summary>
    public static ImmutableArray<TensorData> ToRecords(this IReadOnlyList<V1.Tensor> messages, string field)
    {
        var (tensors, faults) = (ImmutableArray.CreateBuilder<TensorData>(messages.Count), new FaultList());
        foreach (var (index, message) in messages.Index())
        {
            try
            {
                tensors.Add(message.ToRecord($"{field}[{index}]"));
            }
            catch (FlamingoException exception)
            {
                faults.AddAll(exception);
                if (faults.Further > 0) break; // an exception for each of very many wrong tensors would take too long
            }
        }

        PromptRules.ThrowIfAny(faults);
        return tensors.ToImmutable();
    }

    /// <summary>Wraps bytes without a copy. The bytes must not change before the message has been sent.</summary>
    public static ByteString ToByteString(this ReadOnlyMemory<byte> bytes) => UnsafeByteOperations.UnsafeWrap(bytes);
}
