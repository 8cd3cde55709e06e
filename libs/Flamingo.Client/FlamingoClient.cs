using System.Runtime.CompilerServices;
using Flamingo.Client.Connecting;
using Flamingo.Client.Pictures;
using Flamingo.Protos.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Flamingo.Client;

/// <summary>
/// The public service. One client serves any number of threads and calls; it owns its connection. A picture travels as
/// bytes until the service was seen to hold it and by its id from then on; what the service has lost meanwhile is sent
/// again by itself, so that a miss never fails a request that holds the bytes. Where nobody listens, a call waits up to 5 s
/// for a server that is just being started.
/// </summary>
public sealed class FlamingoClient : IDisposable
{
    private const int MostHeld = 16_384;
    private const int MostTenantCharacters = 128;

    private readonly ServiceCalls _calls;
    private readonly HeldPictures _held = new(MostHeld);

    /// <param name="address">For example <c>http://localhost:8080</c>; <c>dns:///gateway:8080</c> is all gateways behind that name, in turn.</param>
    /// <inheritdoc cref="FlamingoClient(IReadOnlyList{string}, string)"/>
    public FlamingoClient(string address, string tenant = "")
        : this([address], tenant)
    {
    }

    /// <summary>Several gateways, in turn; one that dies is left out, and calls that it had not begun to answer go to the next.</summary>
    /// <param name="addresses">At least one.</param>
    /// <param name="tenant">Who asks: 1 to 128 of <c>A-Z a-z 0-9 . _ -</c>, or empty for the default tenant. No latent, id or support set crosses it.</param>
    /// <exception cref="ArgumentException">No address, or no name of a tenant.</exception>
    public FlamingoClient(IReadOnlyList<string> addresses, string tenant = "")
    {
        if (tenant.Length > MostTenantCharacters || !tenant.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-'))
            throw new ArgumentException($"'{tenant}' is no name of a tenant. Give 1 to {MostTenantCharacters} of A-Z a-z 0-9 . _ -", nameof(tenant));
        _calls = new ServiceCalls(addresses, tenant, TimeProvider.System);
    }

    /// <summary>Streams the answer: one message of pictures, any number of tokens, one end.</summary>
    /// <exception cref="FlamingoException">While it is read.</exception>
    public IAsyncEnumerable<GenerateResponse> StreamAsync(Prompt prompt, Sampling? sampling = null, CancellationToken cancellation = default) =>
        StreamAsync(new GenerateRequest { Segments = { prompt.Segments }, Sampling = sampling ?? new Sampling() }, cancellation);

    /// <summary>Streams the answer to everything that can be asked: examples from a support set, a pinned prefix, attention maps.</summary>
    /// <inheritdoc cref="StreamAsync(Prompt, Sampling?, CancellationToken)"/>
    public IAsyncEnumerable<GenerateResponse> StreamAsync(GenerateRequest request, CancellationToken cancellation = default) =>
        ReadAsync(request, copy => OutgoingPictures.Of(copy.Segments, _held), (gateway, copy, token) => gateway.Public.Generate(copy, cancellationToken: token), cancellation);

    /// <summary>The whole answer at once.</summary>
    /// <exception cref="FlamingoException">Any refusal or failure.</exception>
    public Task<Answer> GenerateAsync(Prompt prompt, Sampling? sampling = null, CancellationToken cancellation = default) =>
        Answer.ReadAsync(StreamAsync(prompt, sampling, cancellation));

    /// <inheritdoc cref="GenerateAsync(Prompt, Sampling?, CancellationToken)"/>
    public Task<Answer> GenerateAsync(GenerateRequest request, CancellationToken cancellation = default) => Answer.ReadAsync(StreamAsync(request, cancellation));

    /// <summary>Log-likelihoods of candidate answers, in the order given.</summary>
    public Task<RankResponse> RankAsync(Prompt prompt, IEnumerable<string> candidates, CancellationToken cancellation = default) =>
        RankAsync(new RankRequest { Segments = { prompt.Segments }, Candidates = { candidates } }, cancellation);

    /// <summary>The same with examples from a support set, as an ensemble over their order, with a pinned prefix.</summary>
    /// <inheritdoc cref="RankAsync(Prompt, IEnumerable{string}, CancellationToken)"/>
    public async Task<RankResponse> RankAsync(RankRequest request, CancellationToken cancellation = default)
    {
        request = request.Clone();
        var pictures = OutgoingPictures.Of(request.Segments, _held);
        var response = await pictures.SendAsync(() => _calls.RunAsync(gateway => gateway.Public.RankAsync(request, cancellationToken: cancellation).ResponseAsync, cancellation));
        pictures.Acknowledge(response.Pictures);
        return response;
    }

    /// <summary>What is in a picture, asked in the words that the checkpoint was trained on.</summary>
    /// <exception cref="FlamingoException">InvalidArgument also where the checkpoint has no template for it.</exception>
    public Task<TaskAnswer> CaptionAsync(ReadOnlyMemory<byte> picture, CancellationToken cancellation = default) =>
        CaptionAsync(new CaptionRequest { Prompt = Asking(picture) }, cancellation);

    /// <summary>The same with examples, sampling, a clip or a picture's id.</summary>
    /// <inheritdoc cref="CaptionAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public Task<TaskAnswer> CaptionAsync(CaptionRequest request, CancellationToken cancellation = default) =>
        AskAsync(request.Clone(), copy => copy.Prompt, (gateway, copy) => gateway.Tasks.CaptionAsync(copy, cancellationToken: cancellation), answer => answer.Pictures.Pictures, cancellation);

    /// <summary>The answer to a question about a picture.</summary>
    /// <inheritdoc cref="CaptionAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public Task<TaskAnswer> AnswerAsync(ReadOnlyMemory<byte> picture, string question, CancellationToken cancellation = default) =>
        AnswerAsync(new AnswerRequest { Prompt = Asking(picture), Question = question }, cancellation);

    /// <inheritdoc cref="CaptionAsync(CaptionRequest, CancellationToken)"/>
    public Task<TaskAnswer> AnswerAsync(AnswerRequest request, CancellationToken cancellation = default) =>
        AskAsync(request.Clone(), copy => copy.Prompt, (gateway, copy) => gateway.Tasks.AnswerAsync(copy, cancellationToken: cancellation), answer => answer.Pictures.Pictures, cancellation);

    /// <summary>Which of several labels a picture has, best first.</summary>
    /// <inheritdoc cref="CaptionAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public Task<Classification> ClassifyAsync(ReadOnlyMemory<byte> picture, IEnumerable<string> labels, CancellationToken cancellation = default) =>
        ClassifyAsync(new ClassifyRequest { Prompt = Asking(picture), Labels = { labels } }, cancellation);

    /// <inheritdoc cref="CaptionAsync(CaptionRequest, CancellationToken)"/>
    public Task<Classification> ClassifyAsync(ClassifyRequest request, CancellationToken cancellation = default) =>
        AskAsync(request.Clone(), copy => copy.Prompt, (gateway, copy) => gateway.Tasks.ClassifyAsync(copy, cancellationToken: cancellation), found => found.Ranking.Pictures, cancellation);

    /// <summary>The model's next words in a conversation: <c>conversation.Assistant(answer.Text)</c> goes on from there.</summary>
    /// <inheritdoc cref="CaptionAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public Task<Answer> ChatAsync(Conversation conversation, Sampling? sampling = null, CancellationToken cancellation = default) =>
        Answer.ReadAsync(StreamChatAsync(conversation, sampling, cancellation));

    /// <summary>The same with clips, pictures' ids, a pinned prefix.</summary>
    /// <inheritdoc cref="ChatAsync(Conversation, Sampling?, CancellationToken)"/>
    public Task<Answer> ChatAsync(ChatRequest request, CancellationToken cancellation = default) => Answer.ReadAsync(StreamChatAsync(request, cancellation));

    /// <summary>The same as it is said: one message of pictures, any number of tokens, one end.</summary>
    /// <exception cref="FlamingoException">While it is read.</exception>
    public IAsyncEnumerable<GenerateResponse> StreamChatAsync(Conversation conversation, Sampling? sampling = null, CancellationToken cancellation = default) =>
        StreamChatAsync(new ChatRequest { Turns = { conversation.Turns }, Sampling = sampling ?? new Sampling() }, cancellation);

    /// <inheritdoc cref="StreamChatAsync(Conversation, Sampling?, CancellationToken)"/>
    public IAsyncEnumerable<GenerateResponse> StreamChatAsync(ChatRequest request, CancellationToken cancellation = default) =>
        ReadAsync(request, copy => OutgoingPictures.Of(copy.Turns.SelectMany(turn => turn.Visuals), _held), (gateway, copy, token) => gateway.Tasks.Chat(copy, cancellationToken: token), cancellation);

    /// <summary>Encodes pictures ahead of time; their ids then stand for them in prompts.</summary>
    /// <param name="includePooled">Whether to return CLIP's pooled embedding of each picture too.</param>
    public Task<EncodeResponse> EncodeAsync(IEnumerable<ReadOnlyMemory<byte>> pictures, bool includePooled = false, CancellationToken cancellation = default) =>
        EncodeAsync(new EncodeRequest { Pictures = { pictures.Select(picture => new Visual { Picture = UnsafeByteOperations.UnsafeWrap(picture) }) }, IncludePooled = includePooled }, cancellation);

    /// <summary>The same for pictures, clips and ids together; an id asks whether the service still holds it.</summary>
    /// <inheritdoc cref="EncodeAsync(IEnumerable{ReadOnlyMemory{byte}}, bool, CancellationToken)"/>
    public async Task<EncodeResponse> EncodeAsync(EncodeRequest request, CancellationToken cancellation = default)
    {
        request = request.Clone();
        var pictures = OutgoingPictures.Of(request.Pictures, _held);
        var response = await pictures.SendAsync(() => _calls.RunAsync(gateway => gateway.Public.EncodeAsync(request, cancellationToken: cancellation).ResponseAsync, cancellation));
        pictures.Acknowledge(response.Pictures);
        return response;
    }

    /// <summary>Creates a support set, or replaces it under its next version.</summary>
    /// <param name="name">1 to 128 of <c>A-Z a-z 0-9 . _ -</c></param>
    /// <param name="examples">An encoded file each, and what is to be said of it, without the end-of-chunk token.</param>
    /// <param name="timeToLive">Null: until it is deleted.</param>
    /// <param name="expectedVersion">Refused with FailedPrecondition unless the set has this version, 0 for "not there yet"; null replaces whatever is there.</param>
    public Task<SupportSet> PutSupportSetAsync(
        string name, IEnumerable<(ReadOnlyMemory<byte> Picture, string Text)> examples, TimeSpan? timeToLive = null, long? expectedVersion = null, CancellationToken cancellation = default)
    {
        var request = new PutSupportSetRequest { Name = name, TimeToLive = timeToLive is { } life ? Duration.FromTimeSpan(life) : null };
        if (expectedVersion is { } version) request.ExpectedVersion = version;
        request.Examples.AddRange(examples.Select(example => new Example { Picture = UnsafeByteOperations.UnsafeWrap(example.Picture), Text = example.Text }));
        return PutSupportSetAsync(request, cancellation);
    }

    /// <summary>The same with clips.</summary>
    /// <inheritdoc cref="PutSupportSetAsync(string, IEnumerable{ValueTuple{ReadOnlyMemory{byte}, string}}, TimeSpan?, long?, CancellationToken)"/>
    public Task<SupportSet> PutSupportSetAsync(PutSupportSetRequest request, CancellationToken cancellation = default) =>
        _calls.RunAsync(gateway => gateway.Sets.PutAsync(request, cancellationToken: cancellation).ResponseAsync, cancellation, once: true);

    /// <exception cref="FlamingoException">NotFound.</exception>
    public Task<SupportSet> GetSupportSetAsync(string name, CancellationToken cancellation = default) =>
        _calls.RunAsync(gateway => gateway.Sets.GetAsync(new GetSupportSetRequest { Name = name }, cancellationToken: cancellation).ResponseAsync, cancellation);

    /// <summary>All of the tenant, by name, without their examples.</summary>
    public async Task<IReadOnlyList<SupportSet>> ListSupportSetsAsync(CancellationToken cancellation = default) =>
        (await _calls.RunAsync(gateway => gateway.Sets.ListAsync(new ListSupportSetsRequest(), cancellationToken: cancellation).ResponseAsync, cancellation)).Sets;

    /// <exception cref="FlamingoException">NotFound.</exception>
    public Task DeleteSupportSetAsync(string name, CancellationToken cancellation = default) =>
        _calls.RunAsync(gateway => gateway.Sets.DeleteAsync(new DeleteSupportSetRequest { Name = name }, cancellationToken: cancellation).ResponseAsync, cancellation, once: true);

    /// <summary>What serves there: sizes, limits, digests of the weights.</summary>
    public Task<Model> GetModelAsync(CancellationToken cancellation = default) =>
        _calls.RunAsync(gateway => gateway.Public.GetModelAsync(new GetModelRequest(), cancellationToken: cancellation).ResponseAsync, cancellation);

    public void Dispose() => _calls.Dispose();

    private static TaskPrompt Asking(ReadOnlyMemory<byte> picture) => new() { Visual = new Visual { Picture = UnsafeByteOperations.UnsafeWrap(picture) } };

    private async IAsyncEnumerable<GenerateResponse> ReadAsync<TRequest>(
        TRequest request, Func<TRequest, OutgoingPictures> outgoing, Func<Gateway, TRequest, CancellationToken, AsyncServerStreamingCall<GenerateResponse>> begin,
        [EnumeratorCancellation] CancellationToken cancellation)
        where TRequest : IDeepCloneable<TRequest>
    {
        var copy = request.Clone();
        var pictures = outgoing(copy);
        var (call, any) = await pictures.SendAsync(() => _calls.BeginAsync(gateway => begin(gateway, copy, cancellation), cancellation));
        using (call)
        {
            for (; any; any = await ServiceCalls.MoveNextAsync(call, cancellation))
            {
                if (call.ResponseStream.Current.Pictures is { } resolved) pictures.Acknowledge(resolved.Pictures);
                yield return call.ResponseStream.Current;
            }
        }
    }

    private async Task<TResponse> AskAsync<TRequest, TResponse>(
        TRequest copy, Func<TRequest, TaskPrompt?> prompt, Func<Gateway, TRequest, AsyncUnaryCall<TResponse>> call, Func<TResponse, IEnumerable<PictureReport>> reports, CancellationToken cancellation)
    {
        var shown = prompt(copy) is { } asked ? asked.Examples.Select(example => example.Visual).Append(asked.Visual) : [];
        var pictures = OutgoingPictures.Of(shown.OfType<Visual>(), _held);
        var response = await pictures.SendAsync(() => _calls.RunAsync(gateway => call(gateway, copy).ResponseAsync, cancellation));
        pictures.Acknowledge(reports(response));
        return response;
    }
}
