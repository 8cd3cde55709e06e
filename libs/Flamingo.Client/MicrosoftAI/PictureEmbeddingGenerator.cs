using Flamingo.Abstractions;
using Microsoft.Extensions.AI;

namespace Flamingo.Client.MicrosoftAI;

/// <summary>CLIP's pooled and projected embeddings of pictures, for Microsoft.Extensions.AI.</summary>
/// <param name="flamingo">The model. It is not disposed with this.</param>
internal sealed class PictureEmbeddingGenerator(IFlamingo flamingo, TimeProvider time) : IEmbeddingGenerator<DataContent, Embedding<float>>
{
    private const string Pictures = "pictures", Values = "values"; // a field of our request, and the caller's name of it

    private readonly ServedModel _model = new(flamingo, time);

    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(
        IEnumerable<DataContent> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        try
        {
            var request = BaseOf(options);
            var model = await _model.GetAsync(options?.ModelId, cancellationToken);
            if (model.Vision.PooledWidth == 0)
                throw FlamingoException.Invalid(
                    Values, "This checkpoint has no pooled projection, so its pictures have no embeddings.", "Serve one that has it.");
            if (options?.Dimensions is { } dimensions && dimensions != model.Vision.PooledWidth)
                throw FlamingoException.Invalid(
                    "options.Dimensions", $"{dimensions} is not the size of this model's embeddings.",
                    $"Leave it out: embeddings have {model.Vision.PooledWidth} numbers.");
            var pictures = Read(values, model);
            if (pictures.Count == 0) return [];
            var encoding = await flamingo.EncodeAsync(request with { Pictures = pictures, IncludePooled = true }, cancellationToken);
            _model.Check(encoding.Digests);
            var created = time.GetUtcNow();
            return new GeneratedEmbeddings<Embedding<float>>(encoding.Pooled.Select(pooled =>
                new Embedding<float>(pooled.ToFloats()) { CreatedAt = created, ModelId = model.Language.ModelId }))
            {
                Usage = Provider.UsageOf(encoding),
            };
        }
        catch (FlamingoException failure)
        {
            _model.Check(failure);
            if (!failure.Faults.Any(fault => fault.Field.StartsWith(Pictures, StringComparison.Ordinal))) throw;
            throw FlamingoException.Invalid([.. failure.Faults.Select(Translate)], failure.FurtherFaults);
        }
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(EmbeddingGeneratorMetadata)
                ? new EmbeddingGeneratorMetadata(
                    Provider.Name, Provider.AddressOf(flamingo), _model.Known?.Language.ModelId, _model.Known?.Vision.PooledWidth)
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType.IsInstanceOfType(flamingo) ? flamingo
            : null;
    }

    public void Dispose()
    {
    }

    private FlamingoEncodeRequest BaseOf(EmbeddingGenerationOptions? options) => options?.RawRepresentationFactory?.Invoke(this) switch
    {
        null => new FlamingoEncodeRequest([]),
        FlamingoEncodeRequest { Pictures.Count: 0 } request => request,
        var other => throw FlamingoException.Invalid(
            "options.RawRepresentationFactory", $"It returns a {other.GetType().Name} that this client cannot send.",
            "Return a FlamingoEncodeRequest without pictures, or null."),
    };

    private static FieldFault Translate(FieldFault fault) =>
        fault.Field.StartsWith(Pictures, StringComparison.Ordinal) ? fault with { Field = Values + fault.Field[Pictures.Length..] } : fault;

    private static List<FlamingoVisual> Read(IEnumerable<DataContent> values, FlamingoModel model)
    {
        var (pictures, faults) = (new List<FlamingoVisual>(), new FaultList());
        foreach (var (index, value) in values.Index())
        {
            if (value is null) faults.Add(new($"{Values}[{index}]", "The picture is null.", "Leave it out."));
            else if (ChatContents.Picture(value, $"{Values}[{index}]", model, faults) is { } picture) pictures.Add(picture);
        }

        PromptRules.ThrowIfAny(faults);
        return pictures;
    }
}
