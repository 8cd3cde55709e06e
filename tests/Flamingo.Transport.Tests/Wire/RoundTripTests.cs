using CsCheck;
using Flamingo.Testing;
using Flamingo.Transport.Wire;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Wire;

/// <summary>Converting record → message → bytes → message → record gives the original record.</summary>
public sealed class RoundTripTests
{
    [Fact]
    public void Requests() =>
        Check(Records.LanguageRequest, LanguageWire.ToMessage, V1.GenerateTokensRequest.Parser, LanguageWire.ToRecord);

    [Fact]
    public void Rank_requests() =>
        Check(Records.RankRequest, LanguageWire.ToMessage, V1.RankCandidatesRequest.Parser, LanguageWire.ToRecord);

    [Fact]
    public void Vision_requests() =>
        Check(Records.VisionRequest, VisionWire.ToMessage, V1.EncodePicturesRequest.Parser, VisionWire.ToRecord);

    [Fact]
    public void Vision_encodings() =>
        Check(Records.VisionEncoding, VisionWire.ToMessage, V1.EncodePicturesResponse.Parser, VisionWire.ToRecord);

    [Fact]
    public void Vision_statistics() =>
        Check(Records.VisionStatistics, VisionWire.ToMessage, V1.VisionEncoderStatistics.Parser, VisionWire.ToRecord);

    [Fact]
    public void Resample_requests() =>
        Check(Records.ResampleRequest, ResamplerWire.ToMessage, V1.ResampleRequest.Parser, ResamplerWire.ToRecord);

    [Fact]
    public void Resamplings() => Check(Records.Resampling, ResamplerWire.ToMessage, V1.ResampleResponse.Parser, ResamplerWire.ToRecord);

    [Fact]
    public void Generation_events() =>
        Check(Records.Generation, GenerationWire.ToStageMessage, V1.GenerateTokensResponse.Parser, GenerationWire.ToRecord);

    [Fact]
    public void Rankings() => Check(Records.Ranking, LanguageWire.ToMessage, V1.RankCandidatesResponse.Parser, LanguageWire.ToRecord);

    private static void Check<TRecord, TMessage>(
        Gen<TRecord> records, Func<TRecord, TMessage> send, MessageParser<TMessage> parser, Func<TMessage, TRecord> receive)
        where TMessage : IMessage<TMessage> =>
        records.Sample(record => Same.Content(record, receive(Travel(send(record), parser))));

    private static TMessage Travel<TMessage>(TMessage message, MessageParser<TMessage> parser)
        where TMessage : IMessage<TMessage> => parser.ParseFrom(message.ToByteArray());
}
