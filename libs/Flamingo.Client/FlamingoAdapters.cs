using Flamingo.Abstractions;
using Flamingo.Client.MicrosoftAI;
using Microsoft.Extensions.AI;

namespace Flamingo.Client;

/// <summary>A model as the interfaces of Microsoft.Extensions.AI; docs/dotnet.md says what they do with messages and options.</summary>
public static class FlamingoAdapters
{
    extension(IFlamingo flamingo)
    {
        /// <summary>
        /// Returns a chat client for any model: a <see cref="FlamingoClient"/>, a model in this process, or a fake. Messages become the
        /// same prompt as those of OpenAI's API on the same server. Pictures are <see cref="DataContent"/> with an image's media type, or
        /// <see cref="HostedFileContent"/> with the id of a picture that the server holds. The
        /// <see cref="ChatOptions.RawRepresentationFactory"/> may return a <see cref="FlamingoChatRequest"/>, on which the other options
        /// are laid. Failures are thrown as <see cref="FlamingoException"/>. Disposing the chat client leaves the model alone.
        /// </summary>
        /// <param name="time">The clock of creation times; null is the system's.</param>
        /// <param name="newId">Makes the ids of responses and messages; null makes random ones.</param>
        public IChatClient AsChatClient(TimeProvider? time = null, Func<string>? newId = null) =>
            new FlamingoChatClient(flamingo, time ?? TimeProvider.System, newId ?? (() => Guid.NewGuid().ToString("N")));

        /// <summary>
        /// Returns a generator of CLIP's pooled and projected embeddings: for each picture
        /// <see cref="VisionEncoderDescription.PooledWidth"/> numbers, which are not normalised, so that pictures are compared by the
        /// cosine. All pictures of a call are one request. Failures are thrown as <see cref="FlamingoException"/>. Disposing the generator
        /// leaves the model alone.
        /// </summary>
        /// <param name="time">The clock of creation times; null is the system's.</param>
        public IEmbeddingGenerator<DataContent, Embedding<float>> AsPictureEmbeddingGenerator(TimeProvider? time = null) =>
            new PictureEmbeddingGenerator(flamingo, time ?? TimeProvider.System);
    }
}
